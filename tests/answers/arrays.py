# Who makes the peak? normalise: an array of 4,000,000 doubles, by numpy.
import numpy


def normalise(rows):
    return rows / rows.sum()


def main():
    return normalise(numpy.ones(4_000_000))


main()
