# A small project's day: many short runs of git.
git init -q -b main . && git config user.name g && git config user.email g@example.org
export GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z'
for n in 1 2 3; do
  for file in a b c d; do
    for line in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do echo "$file $n $((line * n))"; done >$file.txt
  done
  git add . && git commit -q -m "change $n"
done
git log --stat --format='%h %s' && git diff HEAD~1 | git hash-object --stdin
git status --short && git gc -q && git fsck && git rev-list --objects --all | wc -l
