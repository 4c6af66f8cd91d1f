set -e
export GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
git config --global user.name A
git config --global user.email a@example.org
git config --global init.defaultBranch main
git init -q one
cd one
for i in 1 2 3; do
  seq 1 $((i * 50)) >file$i
  git add .
  git commit -q -m "commit $i"
done
git branch side HEAD~1
cd ..
git clone -q one two
cd two
git log --oneline --all
git diff --stat HEAD~2
git checkout -q side
git merge -q main 2>&1
git gc -q
git fsck --no-progress
git rev-parse HEAD
git archive HEAD | md5sum
