/*
 * Who makes the peak? load_orders, through containers: 3,000 orders of a string of 60 and 40 doubles each, kept.
 * Who leaks? remember_failure: 300 blocks of 2,000 bytes, which a std::function calls for.
 */
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

struct Order {
    std::string id;
    std::vector<double> prices;
};

static std::map<std::string, std::shared_ptr<Order>> orders;
static void *volatile failures[300];

__attribute__((noinline)) void load_orders(int n)
{
    for (int i = 0; i < n; i++) {
        auto order = std::make_shared<Order>();
        order->id = std::string(60, 'a' + i % 26) + std::to_string(i);
        for (int k = 0; k < 40; k++) order->prices.push_back(k);
        orders[order->id] = order;
    }
}

__attribute__((noinline)) void remember_failure(int i)
{
    failures[i] = std::malloc(2000);
}

int main()
{
    load_orders(3000);
    std::function<void(int)> on_failure = [](int i) { remember_failure(i); };
    for (int i = 0; i < 300; i++) on_failure(i);
    orders.clear();
    for (auto &failure : failures) failure = nullptr;
    return 0;
}
