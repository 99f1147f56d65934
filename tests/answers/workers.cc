/* Who leaks? serve_client, in four threads: 250 sessions of 1,000 bytes each. */
#include <thread>
#include <vector>

struct Session {
    char data[1000];
};

static void *volatile last;

__attribute__((noinline)) void serve_client()
{
    last = new Session;
}

int main()
{
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) threads.emplace_back([] { for (int k = 0; k < 250; k++) serve_client(); });
    for (auto &thread : threads) thread.join();
    return 0;
}
