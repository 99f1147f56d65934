"""JSON-heavy Python: builds, dumps and parses a list of objects. Run with PYTHONMALLOC=malloc."""
import json
import sys

count = int(sys.argv[1]) if len(sys.argv) > 1 else 40000
data = [{"id": i, "name": "n%d" % i, "tags": ["a", "b", str(i)], "v": {"x": i * 1.5}} for i in range(count)]
text = json.dumps(data)
print(len(text), len(json.loads(text)))
