import java.util.*;
import java.util.concurrent.*;
public class Threads {
  static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
  public static void main(String[] a) throws Exception {
    System.out.println("hello " + fib(30));
    ExecutorService e = Executors.newFixedThreadPool(4);
    List<Future<Long>> l = new ArrayList<>();
    for (int t = 0; t < 8; ++t) { final int k = t; l.add(e.submit(() -> { long s = 0; Map<Integer,String> m = new HashMap<>(); for (int i = 0; i < 200000; ++i) { s = s * 31 + i * k; if (i % 10 == 0) m.put(i, "v" + i); } return s + m.size(); })); }
    for (Future<Long> f : l) System.out.println(f.get());
    e.shutdown();
    try { Object o = null; o.hashCode(); } catch (NullPointerException x) { System.out.println("npe"); }
    try { int[] q = new int[1]; q[a.length + 5] = 1; } catch (ArrayIndexOutOfBoundsException x) { System.out.println("aioobe"); }
    try { rec(0); } catch (StackOverflowError x) { System.out.println("so"); }
  }
  static int rec(int n) { return rec(n + 1) + 1; }
}
