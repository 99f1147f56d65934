/*
 * A Node-API addon, without its headers: what it uses of the interface is declared here, and the runtime
 * that loads it has the functions. work() makes 25 blocks of 64 bytes and frees them; its argument, a path,
 * is a library that it opens, whose function `blocks` makes 10 of 100 and frees them.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env, napi_callback_info);
extern int napi_create_function(napi_env, const char *, size_t, napi_callback, void *, napi_value *);
extern int napi_set_named_property(napi_env, napi_value, const char *, napi_value);
extern int napi_get_cb_info(napi_env, napi_callback_info, size_t *, napi_value *, napi_value *, void **);
extern int napi_get_value_string_utf8(napi_env, napi_value, char *, size_t, size_t *);

static void make(void)
{
    for (int i = 0; i < 25; i++) {
        void *volatile block = malloc(64);
        free(block);
    }
}

static napi_value work(napi_env env, napi_callback_info info)
{
    napi_value argument, self;
    size_t count = 1, length;
    char path[4096];
    napi_get_cb_info(env, info, &count, &argument, &self, NULL);
    napi_get_value_string_utf8(env, argument, path, sizeof path, &length);
    make();
    void *library = dlopen(path, RTLD_NOW);
    void (*blocks)(uint32_t, uint32_t) = library ? (void (*)(uint32_t, uint32_t))dlsym(library, "blocks") : NULL;
    if (blocks)
        blocks(10, 100);
    return NULL;
}

__attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env, napi_value exports)
{
    napi_value function;
    napi_create_function(env, "work", 4, work, NULL, &function);
    napi_set_named_property(env, exports, "work", function);
    return exports;
}
