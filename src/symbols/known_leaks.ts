/**
 * What libraries allocate once and keep until the process ends: it is no leak of the program's, and would stand in every
 * report. Each entry names whose it is, and the function that keeps it: a pattern for the whole readable name, and for the
 * file name of the module where the function's name alone is not certain.
 */

/** What is known to be kept. */
export interface KnownLeak {
  /** Whose it is, in words. */
  readonly whose: string;
  /** The function, whole. */
  readonly function: RegExp;
  /** The file name of the object that the function is in; any when left out. */
  readonly module?: RegExp;
}

const LIBC = /^(libc[.-]|libpthread|libdl|libresolv|libnss_|ld-)/;
const LIBSTDCXX = /^lib(stdc\+\+|c\+\+(abi)?|supc\+\+)\./;

/** The standard libraries, whose initialisers keep what they allocate: stacks with nothing else on them are theirs. */
export const STANDARD_LIBRARIES: readonly (readonly [module: RegExp, whose: string])[] = [
  [LIBSTDCXX, "libstdc++"],
  [/^(libc[.-]|ld-musl)/, "the C library"],
  [/^ld-/, "the dynamic linker"],
];

/** The list. */
export const KNOWN_LEAKS: readonly KnownLeak[] = [
  // The emergency pool that exceptions are thrown from when memory is out: 72,704 bytes in every C++ program.
  { whose: "libstdc++", function: /^(\(anonymous namespace\)::)?pool::pool$|^static initialisers$/, module: LIBSTDCXX },
  {
    whose: "libstdc++",
    function: /^__cxa_get_globals$|^std::locale::.*|^std::ios_base::Init::Init$/,
    module: LIBSTDCXX,
  },
  // The dynamic linker's own records of objects and threads.
  {
    whose: "the dynamic linker",
    function:
      /^(_dl_(?!allocate_tls)\w+|dl_\w+|__tls_get_addr|tls_get_addr_\w+|allocate_dtv(_entry)?|__rtld_malloc|rtld_malloc|add_to_global\w*|decompose_rpath|fillin_rpath|open_path|expand_dynamic_string_token|local_strdup)$/,
    module: LIBC,
  },
  { whose: "the dynamic linker", function: /^(_dlerror_run|(__)?dlerror)$/, module: LIBC },
  // Buffers of stdin, stdout and stderr, tables of the environment, locales, time zones, users, converters, exit handlers.
  {
    whose: "the C library",
    function:
      /^(_IO_file_doallocate|_IO_wfile_doallocate|__new_exitfn|__internal_atexit|__cxa_atexit|__add_to_environ|__setenv|setenv|putenv|setlocale|_nl_\w+|new_composite_name|__gconv_\w+|gconv_\w+|tzset\w*|__tzfile_\w+|tzfile_\w+|__tzset\w*|parse_tzname|__nss_\w+|nss_\w+|__res_\w+|get(pw|gr|sp)(uid|gid|nam|ent)|get(host|serv|proto|net)(by\w+|ent)|bindtextdomain|set_binding_values|textdomain|__textdomain|__dcigettext|_nl_load_domain|__resolv_conf_\w+)$/,
    module: LIBC,
  },
  // What Rust's runtime keeps of the main thread, and of stdout.
  {
    whose: "Rust's runtime",
    function:
      /^(std::rt::(init|lang_start_internal|cleanup|thread_cleanup)\b.*|std::thread::(Thread::new\w*|current::\w+|set_current|ThreadId::new)\b.*|std::sys(_common)?::thread_info::.*|std::thread::main_thread.*|std::sys::.*thread_local.*register.*|<?std::io::stdio::.*|std::sync::once_lock::OnceLock<.*(Stdout|Stdin|LineWriter).*>::.*|std::io::buffered::linewriter::.*)$/,
  },
  // Types, interned strings and main contexts of glib, for the process's life.
  {
    whose: "glib",
    function:
      /^(g_type_\w+|type_\w+_W|type_\w+_Wm|g_quark_\w+|quark_\w+|g_intern_\w+|g_thread_(self|init|new_internal|pool\w*)|g_private_\w+|g_main_context_(new|default)\w*|g_get_(home_dir|user_\w+|tmp_dir|language_names\w*|charset\w*|filename_charsets|prgname)|g_mutex_impl_new|g_rec_mutex_impl_new|g_cond_impl_new|g_signal_(new\w*|type_cclosure_new|init)|glib_init|gobject_init\w*|g_param_spec_pool_\w+|g_dgettext|g_static_\w+)$/,
    module: /^lib(glib|gobject|gio|gmodule|gthread)-/,
  },
  {
    whose: "fontconfig",
    function: /^Fc(Init\w*|Config(Create|Init|Build|Get|Reference)\w*|DirCache\w*)$/,
    module: /^libfontconfig\./,
  },
  {
    whose: "OpenSSL",
    function:
      /^(OPENSSL_init_\w+|ossl_init_\w+|do_\w+_init_ossl_|ERR_load_\w+|RAND_\w*init\w*|CRYPTO_THREAD_lock_new|ossl_lib_ctx_\w+|context_init)$/,
    module: /^lib(crypto|ssl)\./,
  },
  // Interned names and types of an interpreter are there until it ends.
  {
    whose: "CPython's runtime",
    function:
      /^(_?Py(Runtime|Interpreter)\w*|_PyUnicode_\w*Intern\w*|PyUnicode_InternInPlace|intern_\w+|_PyImport_\w*Init\w*|Py_InitializeFromConfig|pyinit_\w+|init_interp_\w+)$/,
  },
  { whose: "the sanitizer", function: /^__(asan|lsan|ubsan|tsan)_\w+$/ },
];
