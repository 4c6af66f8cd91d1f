import multiprocessing


def square(n):
    return n * n


if __name__ == "__main__":
    with multiprocessing.Pool(3) as pool:
        print(pool.map(square, range(20)))
    q = multiprocessing.Queue()
    p = multiprocessing.Process(target=q.put, args=("from the child",))
    p.start()
    print(q.get())
    p.join()
    print(p.exitcode)
