/**
 * Functions that only pass an allocation on: they allocate everything and explain nothing. Those of allocators and languages
 * are never of interest; wrappers are a program's or a library's own functions with the same job, of which the known ones
 * stand here and others are told by name and shape.
 */

/** Of allocators, C libraries and languages. */
const ALLOCATION: readonly RegExp[] = [
  /^(?:__libc_|_rjem_|je_|mi_|tc_|duckdb_je_|moz_arena_|rp|sn_rust_|\w*je_)?(?:malloc|calloc|realloc|reallocarray|memalign|aligned_alloc|posix_memalign|valloc|pvalloc|zalloc|mallocx|rallocx)(?:_usable_size)?$/,
  /^sn_rust_alloc(?:_zeroed)?$/,
  /^(?:__)?(?:strdup|strndup|wcsdup|strdupa)$|^__strn?dup$|^_IO_(?:vasprintf|mem_finish)$/,
  // C++
  /^operator new(?:\[\])?$/,
  /^std::(?:allocator|allocator_traits|__new_allocator|__allocate_guarded|__allocated_ptr|__detail::_Hashtable_alloc)\b/,
  /^__gnu_cxx::(?:new_allocator|__alloc_traits|__pool_alloc|malloc_allocator)\b/,
  /^std::__libcpp_(?:operator_new|allocate)\b/,
  /^std::.*::_M_(?:allocate(?:_node|_buckets|_map)?|get_node|create_storage|create_node|create)$/,
  // Rust
  /^(?:(?:__rustc(?:\[\w+\])?::)?(?:__rust_(?:alloc|realloc|alloc_zeroed)|__rdl_\w+|__rg_\w+)|alloc::alloc::\w+|alloc::alloc::Global::.*|<alloc::alloc::Global\b.*|<std::alloc::System\b.*|std::sys::(?:\w+::)*alloc::.*|std::alloc::.*|alloc::raw_vec::.*|<alloc::raw_vec::.*|alloc::boxed::Box<.*>::(?:new|try_new|new_uninit)\w*)$/,
  // CPython
  /^_?Py(?:Mem|Object)_(?:Raw)?(?:Malloc|Calloc|Realloc)$|^_PyMem_(?:Debug|Raw|Default)\w*$|^pymalloc_(?:alloc|realloc)$/,
];

/** Wrappers by name: of programs and libraries that many people run. */
const WRAPPER = new RegExp(
  `^(?:${
    [
      // C programs: what ends the program when memory does
      "(?:x|xx|safe_?|ck_|checked_|my_|do_|try_|e|p|s|u|k|q|_)?(?:malloc|calloc|realloc|reallocarray|memalign|zalloc|strdup|strndup|memdup)(?:0|_n|0_n|_array|nmalloc|_or_die|_zero)?",
      "x(?:n|2n|p|char|i|2|ini|inz)?(?:alloc|malloc|calloc|zalloc|realloc|reallocarray|memdup0?|strdup|strndup|2realloc|2nrealloc|asprintf|vasprintf|palloc)|do_xmalloc|xmalloc_failed|xmemdupz",
      "i(?:malloc|calloc|realloc|reallocarray)|xi(?:malloc|calloc|realloc|nmalloc|memdup)",
      // redis, nginx, Apache, PostgreSQL, SQLite, git, Samba, BIND
      "z(?:malloc|calloc|realloc|strdup)\\w*|ztry(?:malloc|calloc|realloc)\\w*|s_(?:malloc|realloc)\\w*|hi_(?:malloc|calloc|realloc|strdup)|_sdsnewlen",
      "ngx_(?:alloc|calloc|memalign|palloc|pnalloc|pcalloc|pmemalign|palloc_(?:block|large|small)|slab_\\w*alloc\\w*|create_pool)",
      "apr_(?:palloc|pcalloc|pstrn?dup|pstrmemdup|pmemdup|pool_create_ex|allocator_alloc)(?:_debug)?|allocator_alloc",
      "palloc\\w*|palloc0\\w*|repalloc\\w*|pstrdup|pnstrdup|pg_(?:malloc|strdup|realloc)\\w*|MemoryContext(?:Alloc|Strdup)\\w*|AllocSet(?:Alloc|Realloc|ContextCreate)\\w*|(?:Generation|Slab|Bump|Aligned)Alloc\\w*",
      "sqlite3(?:_malloc|_realloc|_mprintf|Malloc|Realloc|Mem(?:Malloc|Realloc)|Db(?:Malloc|Realloc|StrN?Dup)|PageMalloc|PcachePage)\\w*|dbMallocRawFinish|mallocWithAlarm|pcache1Alloc\\w*|memsys\\dMalloc\\w*",
      "_?_?talloc_\\w+|isc__?mem(?:pool)?_(?:get|allocate|reallocate|strdup)x?|mem_(?:get|malloc)",
      // OpenSSL, glib, zlib and other libraries
      "(?:CRYPTO|OPENSSL)_(?:malloc|zalloc|calloc|realloc|clear_realloc|strdup|strndup|memdup|secure_\\w*alloc)",
      "g_(?:malloc|realloc|try_malloc|try_realloc|slice_alloc|memdup|strdup|strndup|aligned_alloc)\\w*|standard_(?:malloc|calloc|realloc|try_\\w+)",
      "zcalloc|lzma_(?:alloc|alloc_zero|next_alloc)|ZSTD_(?:malloc|calloc|customMalloc|customCalloc|cwksp_create)|BrotliAllocate|BrotliDefaultAllocFunc|default_bzalloc",
      "png_(?:malloc|calloc)\\w*|jpeg_get_(?:small|large)|alloc_(?:small|large|sarray|barray)|ft_(?:mem_)?(?:q?alloc|q?realloc|strdup|dup)|_TIFFmalloc|_TIFFrealloc",
      "av_(?:malloc|mallocz|calloc|realloc|strdup|strndup|memdup|fast_(?:re)?malloc|buffer_(?:alloc|realloc|pool_get))\\w*|x26[45]_(?:malloc|analyse_alloc)|vpx_(?:malloc|memalign|calloc)|aom_(?:malloc|memalign|calloc)|dav1d_\\w*alloc\\w*",
      "xml(?:Mem)?(?:Malloc|Realloc|Strdup)\\w*|xmlStrn?dup|uprv_(?:malloc|realloc|calloc)\\w*|uv__?(?:malloc|calloc|realloc|strdup|strndup)|event_mm_\\w+_|evbuffer_chain_new",
      "QArrayData::(?:allocate|reallocate)\\w*|QListData::\\w*(?:realloc|detach)\\w*|qMalloc\\w*|wxMalloc|__gmp_(?:default_(?:re)?allocate|tmp_reentrant_alloc)",
      "llvm::(?:safe_(?:malloc|calloc|realloc)|allocate_buffer|BumpPtrAllocatorImpl<.*>::\\w+|MallocAllocator::Allocate|SmallVector(?:Base|Impl|TemplateBase)<.*>::(?:grow|mallocForGrow)\\w*)",
      "ggc_(?:internal_(?:cleared_)?|splay_|cleared_|)alloc\\w*|alloc_page|_obstack_(?:begin|newchunk|allocated)\\w*|va_heap::reserve<.*>|xcallocator<.*>::\\w+|data_alloc<.*>|obstack_\\w*alloc\\w*",
      // language runtimes
      "default_(?:malloc|calloc|realloc)|PyDataMem_\\w+|npy_alloc_cache\\w*|_?PyArray_Malloc",
      "__zend_(?:malloc|calloc|realloc|strdup)|_?_?(?:safe_)?p?e(?:malloc|calloc|realloc2?|strdup|strndup)(?:_\\w+)?|zend_mm_\\w+|tracked_(?:malloc|realloc)",
      "Perl_safesys(?:malloc|calloc|realloc)|Perl_(?:more_bodies|savepvn?|saferealloc)|(?:ruby|rb|objspace)_x(?:malloc|calloc|realloc)\\w*|rb_alloc_tmp_buffer\\w*",
      "l_alloc|luaM_(?:malloc|realloc|saferealloc|growaux|toobig)_?|lj_alloc_\\w*alloc|lj_mem_(?:realloc|grow|newgco)",
      "os::(?:malloc|realloc|strdup)\\w*|AllocateHeap|(?:CHeapObj|ResourceObj|AnyObj|ArenaObj|MetaspaceObj|Chunk|Arena)(?:<.*>)?(?:Base)?::(?:operator new(?:\\[\\])?|allocate_chunk|grow|Amalloc\\w*)|ChunkPool::\\w+",
      "node::(?:Realloc|Malloc|Calloc|Unchecked(?:Malloc|Calloc|Realloc))(?:<.*>)?|v8::internal::(?:Malloced|AlignedAlloc|NewArray|AllocWithRetry|AllocAtLeastWithRetry|Malloc|Zone::Expand|Zone::NewExpand|AccountingAllocator)\\b.*|(?:partition_alloc|allocator_shim)::.*|WTF::Partitions::.*",
    ].join("|")
  })$`,
);

/** What the name of a wrapper that is not known says of its job. */
const NAMED_AFTER_IT = /alloc(?!ations?$|ator$)|memdup|strn?dup/i;

/** Functions that many callers share, as those do that the rest of a program allocates through. */
const MANY = 4;

/** Whether a function, by its readable name, is an allocator's or a language's. */
export function isAllocationFunction(name: string): boolean {
  return ALLOCATION.some((pattern) => pattern.test(name));
}

/**
 * Whether a function passes a program's allocations on. `callers` is how many different places it is called from right above
 * the allocator, 0 where it does not stand there.
 */
export function isWrapper(name: string, callers: () => number): boolean {
  return WRAPPER.test(name) || (NAMED_AFTER_IT.test(name) && callers() >= MANY);
}
