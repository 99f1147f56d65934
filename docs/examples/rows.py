"""The Python program of the pictures: makes rows, indexes them, keeps their JSON. Run with -X perf, PYTHONMALLOC=malloc."""
import json


def make_rows(count):
    return [{"id": i, "name": "row %d" % i, "tags": [str(i + j) for j in range(4)]} for i in range(count)]


def index(rows):
    return {row["name"].upper(): sorted(row["tags"]) for row in rows}


class Cache:
    def __init__(self):
        self.kept = []

    def remember(self, rows):
        self.kept.append(json.dumps(rows))


def main():
    cache = Cache()
    for _ in range(6):
        rows = make_rows(8000)
        index(rows)
        cache.remember(rows)


main()
