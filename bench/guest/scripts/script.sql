PRAGMA journal_mode = off;
CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT);
WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 20000)
  INSERT INTO t SELECT x, x * 7919 % 10007, printf('%05d-%x', x * 31 % 9973, x) FROM c;
CREATE INDEX i ON t (a);
CREATE INDEX j ON t (b);
SELECT count(*), sum(a), min(b), max(b) FROM t WHERE a BETWEEN 100 AND 5000;
SELECT substr(b, 1, 2) AS p, count(*), avg(a) FROM t GROUP BY p ORDER BY 2 DESC, 1 LIMIT 5;
SELECT count(*) FROM t x JOIN t y ON x.a = y.id WHERE y.b LIKE '%1f%';
UPDATE t SET a = a + 1 WHERE id % 3 = 0;
DELETE FROM t WHERE a % 5 = 0;
SELECT count(*), sum(length(b)), total(a) FROM t;
