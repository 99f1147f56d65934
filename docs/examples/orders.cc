/*
 * orders [customers]: the program of the pictures in this folder's documents. It loads orders into an index and keeps
 * them, answers requests with text that lives shortly, and forgets a note for every tenth one. With -DCACHE it also
 * keeps each answer: what a comparison of two builds shows.
 */
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

struct Order {
    std::string id;
    std::vector<double> prices;
};

class Index {
    std::map<std::string, std::shared_ptr<Order>> orders;

public:
    void add(std::shared_ptr<Order> order) { orders[order->id] = order; }
    const Order &at(const std::string &id) const { return *orders.at(id); }
    void clear() { orders.clear(); }
};

static Index orders;
static std::vector<std::string> answers;
static char *volatile note;

static std::string order_id(int customer)
{
    return "order of the customer with number " + std::to_string(customer);
}

__attribute__((noinline)) void load_orders(int first, int last)
{
    for (int customer = first; customer < last; customer++) {
        auto order = std::make_shared<Order>();
        order->id = order_id(customer);
        order->prices.resize(20 + customer % 20);
        orders.add(order);
    }
}

__attribute__((noinline)) void write_note(int customer)
{
    note = static_cast<char *>(std::malloc(100));
    std::memset(note, customer, 100);
}

__attribute__((noinline)) std::string render_bill(const Order &order)
{
    std::string bill = order.id + ":";
    for (double price : order.prices)
        bill += " " + std::to_string(price);
    return bill;
}

__attribute__((noinline)) void handle_request(int customer)
{
    std::string bill = render_bill(orders.at(order_id(customer)));
    if (customer % 10 == 0)
        write_note(customer);
#ifdef CACHE
    answers.push_back(bill);
#endif
}

int main(int argc, char **argv)
{
    int customers = argc > 1 ? std::atoi(argv[1]) : 20000;
    for (int first = 0; first < customers; first += customers / 10) {
        load_orders(first, first + customers / 10);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    for (int customer = 0; customer < customers; customer++)
        handle_request(customer);
    orders.clear();
    return 0;
}
