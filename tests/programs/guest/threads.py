import queue
import threading

work, results = queue.Queue(), []
lock = threading.Lock()


def worker():
    while (n := work.get()) is not None:
        with lock:
            results.append(sum(i * i for i in range(n)))


threads = [threading.Thread(target=worker) for _ in range(8)]
for t in threads:
    t.start()
for n in range(200):
    work.put(n)
for _ in threads:
    work.put(None)
for t in threads:
    t.join()
print(len(results), sum(results), threading.active_count())
event = threading.Event()
threading.Timer(0.1, event.set).start()
print(event.wait(10), event.wait(0))
