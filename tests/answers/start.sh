#!/bin/sh
# A program behind a script that does this and that, with an environment of its own: the answer is the program's.
for name in one two three; do
  dirname "/a/$name" >/dev/null
done
env -i PATH="$PATH" "$1"
