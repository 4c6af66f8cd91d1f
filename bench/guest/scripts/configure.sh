# What a configure script does: short programs by the hundred, in pipes and substitutions.
checks=0 found=
check() {
  checks=$(expr $checks + 1)
  echo "checking for $1... $2"
  found="$found $(echo "$1" | tr a-z A-Z | sed 's/[^A-Z0-9]/_/g')"
}
dir=$(dirname "$0/x")
for header in stdio.h stdlib.h string.h sys/types.h sys/stat.h unistd.h; do
  cat >conftest.c <<EOF
#include <$header>
int main(void) { return 0; }
EOF
  if grep -q "include <$header>" conftest.c && test -s conftest.c; then
    check "$header" yes
  else
    check "$header" no
  fi
  rm -f conftest.c
done
for function in malloc mmap strdup memmem; do
  (echo "#define HAVE_$function 1"; echo "#undef $function") >confdefs.h
  case $(wc -l <confdefs.h) in
    *2*) check "$function" "$(head -n 1 confdefs.h | awk '{print $3}')" ;;
  esac
done
for word in $found; do echo "#define $word 1"; done | sort | uniq >config.h
cat config.h | while read -r _ name value; do test "$value" = 1 && echo "$name"; done | md5sum
echo "$checks checks"
