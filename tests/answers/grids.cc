/* Who makes the peak? make_layers, through templates of the program's own and the library's: 64 grids of 8,192 doubles. */
#include <algorithm>
#include <memory>
#include <vector>

template <class T, class Store = std::vector<T>> class Grid {
    Store cells;

public:
    explicit Grid(int n) : cells(n * n * 2) {}
    T sum() const
    {
        T all{};
        std::for_each(cells.begin(), cells.end(), [&](T cell) { all += cell; });
        return all;
    }
};

__attribute__((noinline)) static std::vector<std::unique_ptr<Grid<double>>> make_layers(int n)
{
    std::vector<std::unique_ptr<Grid<double>>> layers;
    for (int i = 0; i < n; i++) layers.push_back(std::make_unique<Grid<double>>(64));
    return layers;
}

int main()
{
    auto layers = make_layers(64);
    return layers[3]->sum() != 0;
}
