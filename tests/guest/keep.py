# Runs in the guest, for tests/guest/filesystem: keep.py FOLDER FILES
# Makes files one after the other and prints "kept SUM NAME" of each when it is
# stable, with its name. No processes: they are dear in a guest of a guest.
import hashlib
import os
import sys

folder = sys.argv[1]


def sync(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


for n in range(1, int(sys.argv[2]) + 1):
    # Each of another size, none of whole blocks.
    data = os.urandom(n * 70001 % 250001)
    path = os.path.join(folder, str(n))
    with open(path + ".new", "wb") as f:
        f.write(data)
    sync(path + ".new")
    os.rename(path + ".new", path)
    sync(folder)
    print("kept", hashlib.sha256(data).hexdigest(), n, flush=True)
