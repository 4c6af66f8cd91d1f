set -e
for curve in P-256 P-384 P-521 secp256k1; do
  openssl ecparam -name $curve -genkey -noout -out key 2>/dev/null
  openssl pkey -in key -pubout -out public
  openssl dgst -sha384 -sign key -out signature /usr/bin/true
  openssl dgst -sha384 -verify public -signature signature /usr/bin/true
done
for kind in ED25519 ED448; do
  openssl genpkey -algorithm $kind -out key
  openssl pkey -in key -pubout -out public
  openssl pkeyutl -sign -rawin -inkey key -in /usr/bin/true -out signature
  openssl pkeyutl -verify -rawin -pubin -inkey public -in /usr/bin/true -sigfile signature
done
openssl genpkey -algorithm X25519 -out a
openssl genpkey -algorithm X25519 -out b
openssl pkey -in b -pubout -out bp
openssl pkeyutl -derive -inkey a -peerkey bp | wc -c
