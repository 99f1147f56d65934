/*
 * requests [seconds]: a server that leaks. It loads its table once, then answers a request every millisecond: of each it keeps the client's
 * name in a map that nobody ever takes it out of.
 */
#include <chrono>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

static std::vector<std::string> table;
static std::map<int, std::string> clients;

__attribute__((noinline)) void load_table()
{
    for (int i = 0; i < 10000; i++)
        table.push_back("a row that is loaded once and stays, with number " + std::to_string(i));
}

__attribute__((noinline)) void note_client(int request)
{
    clients[request] = "a client whose name is long, with number " + std::to_string(request);
}

__attribute__((noinline)) std::string answer(int request)
{
    note_client(request);
    return "an answer that is sent and forgotten: " + table[request % table.size()];
}

int main(int argc, char **argv)
{
    load_table();
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(argc > 1 ? std::atoi(argv[1]) : 60);
    for (int request = 0; std::chrono::steady_clock::now() < end; request++) {
        answer(request);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return 0;
}
