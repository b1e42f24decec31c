#!/usr/bin/env python3
"""What does a request over HTTP cost beside nginx? Server CPU a request, from schedstat, as medians of interleaved rounds.

nginx serves the same number of files of the same size with one worker, and takes PUTs by its DAV module, which does not sync; Larder
takes them durably. Each server is held on CPU 0 and wrk on CPU 1. Needs nginx with its DAV module and wrk; skips by name what is not here.

    cargo build --release && benches/http_beside_nginx.py [--bytes 4096] [--op get|put] [--cache-bytes 0] [--rounds 7]
"""
import argparse, glob, http.client, os, random, re, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
GET = 'function request() return wrk.format("GET", "{path}/" .. math.random(0, {count} - 1) .. ".jpg") end\n'
PUT = """local n, body = 0
function init() local f = io.open("/dev/urandom", "rb"); body = f:read({bytes}); f:close() end
function request() n = n + 1; return wrk.format("PUT", "{path}/{round}-" .. n .. ".jpg", nil, body) end
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_ns(pid):
    return sum(int(open(p).read().split()[0]) for p in glob.glob(f"/proc/{pid}/task/*/schedstat"))


def upload(port, path, count, bytes_):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for n in range(count):
        connection.request("PUT", f"{path}/{n}.jpg", random.randbytes(bytes_))
        reply = connection.getresponse()
        reply.read()
        if reply.status not in (201, 204):
            sys.exit(f"PUT on port {port}: {reply.status}")


def start_larder(work, args):
    port = free_port()
    with open(f"{work}/larder.toml", "w") as f:
        f.write(f'listen = "127.0.0.1:0"\nhttp = "127.0.0.1:{port}"\nprocessors = 1\nlog = "warn"\n'
                f'cache_bytes = {args.cache_bytes}\nhttp_hot_bytes = {"0" if args.cache_bytes == 0 else str(128 << 20)}\n')
    child = subprocess.Popen([f"{HERE}/../target/release/larder", "serve", "--config", f"{work}/larder.toml", "--data",
                              f"{work}/data"], stdout=subprocess.PIPE, text=True)
    if "ready" not in child.stdout.readline():
        sys.exit("the node did not start: cargo build --release first")
    return child, child.pid, port


def start_nginx(work):
    port = free_port()
    for name in ("www", "www/bench", "www/put", "body"):
        os.mkdir(f"{work}/{name}")
    os.chmod(work, 0o755)
    with open(f"{work}/nginx.conf", "w") as f:
        f.write(f"""worker_processes 1; daemon off; pid {work}/pid; error_log {work}/error.log; user {os.environ.get('USER', 'root')};
events {{ worker_connections 4096; multi_accept on; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 600;
  types {{ image/jpeg jpg; }} client_body_temp_path {work}/body; client_body_buffer_size 2m; client_max_body_size 1g;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {work}/www; dav_methods PUT; create_full_put_path on; }} }}""")
    child = subprocess.Popen(["nginx", "-c", f"{work}/nginx.conf"], stderr=subprocess.DEVNULL)
    for _ in range(100):
        workers = subprocess.run(["pgrep", "-P", str(child.pid)], capture_output=True, text=True).stdout.split()
        if workers and socket.socket().connect_ex(("127.0.0.1", port)) == 0:
            return child, int(workers[0]), port
        time.sleep(0.05)
    sys.exit(f"nginx did not start: {open(f'{work}/error.log').read()}")


def wrk(pid, port, script, seconds):
    subprocess.run(["taskset", "-acp", "0", str(pid)], stdout=subprocess.DEVNULL, check=True)
    before = cpu_ns(pid)
    out = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", "-c64", f"-d{seconds}s", "--timeout", "20s", "-s", script,
                          f"http://127.0.0.1:{port}"], capture_output=True, text=True).stdout
    spent = cpu_ns(pid) - before
    if "Non-2xx" in out or "Socket errors" in out:
        print(out, file=sys.stderr)
    return spent / 1000 / int(re.search(r"(\d+) requests in", out).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=4096)
    parser.add_argument("--op", choices=("get", "put"), default="get")
    parser.add_argument("--cache-bytes", type=int, default=512 << 20, help="0: from the page cache")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2)
    args = parser.parse_args()
    missing = [program for program in ("nginx", "wrk", "taskset") if not shutil.which(program)]
    if missing:
        print(f"skipped: {', '.join(missing)} not installed")
        return
    work = tempfile.mkdtemp(prefix="beside-nginx-")
    children = []
    try:
        peers = {}
        for name, start in (("nginx", lambda: start_nginx(work)), ("larder", lambda: start_larder(work, args))):
            child, pid, port = start()
            children.append(child)
            peers[name] = (pid, port, [])
        count = max(16, min(20000, (64 << 20) // args.bytes))
        if args.op == "get":
            for _, port, _ in peers.values():
                upload(port, "/bench", count, args.bytes)
        for number in range(args.rounds + 1):  # the first warms up
            for pid, port, costs in peers.values():
                text = GET if args.op == "get" else PUT
                path = "/bench" if args.op == "get" else "/put"
                with open(f"{work}/script.lua", "w") as f:
                    f.write(text.format(path=path, count=count, bytes=args.bytes, round=number))
                cost = wrk(pid, port, f"{work}/script.lua", args.seconds)
                if number:
                    costs.append(cost)
        nginx, larder = (statistics.median(peers[name][2]) for name in ("nginx", "larder"))
        print(f"{args.op} of {args.bytes} bytes: nginx {nginx:.2f} us, larder {larder:.2f} us of CPU, ratio {larder / nginx:.2f}"
              f" (rounds {min(peers['larder'][2]):.2f} to {max(peers['larder'][2]):.2f})")
    finally:
        for child in children:
            child.send_signal(signal.SIGTERM)
        for child in children:
            child.wait(20)
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
