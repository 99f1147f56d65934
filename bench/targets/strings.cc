/*
 * strings [n]: a map from strings to vectors of strings, filled, read and taken apart: the C++
 * program that allocates small blocks from a dozen places and keeps a few hundred thousand of them.
 */
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

int main(int argc, char **argv)
{
    int n = argc > 1 ? std::atoi(argv[1]) : 200000;
    std::map<std::string, std::vector<std::string>> index;
    for (int i = 0; i < n; i++) {
        std::string key = "a key that is long enough to be on the heap " + std::to_string(i % (n / 4));
        index[key].push_back("a value that is on the heap as well, number " + std::to_string(i));
    }
    std::size_t length = 0;
    for (auto &[key, values] : index)
        for (auto &value : values)
            length += (key + value).size();
    while (index.size() > 10)
        index.erase(index.begin());
    std::printf("%zu\n", length);
    return 0;
}
