# A key made here is random: what can be compared is that it works.
set -e
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out key
openssl pkey -in key -pubout -out public
openssl dgst -sha256 -sign key -out signature /usr/bin/true
openssl dgst -sha256 -verify public -signature signature /usr/bin/true
! openssl dgst -sha256 -verify public -signature signature /usr/bin/false 2>&1 | head -n 1
echo secret | openssl pkeyutl -encrypt -pubin -inkey public | openssl pkeyutl -decrypt -inkey key
