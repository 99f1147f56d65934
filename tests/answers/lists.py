# Who makes the peak? collect: 20,000 strings of some 60 bytes in a list. Who allocates most? parse, by json.loads.
import json


def collect(n):
    return [("%06d" % i) * 10 for i in range(n)]


def parse(text, rounds):
    for _ in range(rounds):
        json.loads(text)


def main():
    parse(json.dumps({"k%d" % i: [i] * 5 for i in range(100)}), 500)
    return collect(20000)


main()
