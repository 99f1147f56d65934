/**
 * Which functions only pass an allocation on. A report names the innermost function that is none of
 * these: "operator new" allocates everything and explains nothing.
 */
import type { NamedFrame } from "./symbols.ts";

const PATTERNS: readonly RegExp[] = [
  // C: wrappers that end the program when memory does
  /^(x|g_|xx|safe_?|je_|mi_|tc_|ck_)?(malloc|calloc|realloc|reallocarray|memalign|strdup|strndup|zalloc)(0|_n|0_n|_array|nmalloc)?$/,
  /^x(n|2n|p|char|i|2)?(alloc|malloc|calloc|zalloc|realloc|reallocarray|memdup|strdup|strndup|2realloc|2nrealloc)$/,
  /^(ximalloc|xicalloc|xirealloc|xinmalloc|xpalloc|imalloc|icalloc|irealloc|ireallocarray|__?str(n)?dup|g_slice_alloc0?|do_xmalloc|xmalloc_failed)$/,
  // C++
  /^operator new(\[\])?(\(|$)/,
  /^std::(__1::)?(allocator|allocator_traits|__new_allocator|__allocate_guarded|__allocated_ptr|__detail::_Hashtable_alloc)\b/,
  /^__gnu_cxx::(new_allocator|__alloc_traits|__pool_alloc)\b/,
  /^(void\* )?std::__1::__libcpp_(operator_new|allocate)\b/,
  /::_M_allocate(_node|_buckets|_map)?\b.*\(/,
  /^(typename )?.*std::.*::_M_(get_node|create_storage|create_node|create)\(/,
  // Rust
  /^(alloc::alloc::|__rust_(alloc|realloc|alloc_zeroed)|__rdl_|__rg_|<alloc::alloc::Global|alloc::raw_vec::|alloc::boxed::Box<.*>::(new|try_new)|std::sys::alloc|<std::alloc::System)/,
  // CPython
  /^(_?PyMem_(Raw)?(Malloc|Calloc|Realloc)|_PyMem_Debug|_?PyObject_(Malloc|Calloc|Realloc)|_PyMem_Raw|pymalloc_alloc|_PyMem_Default)/,
  // perl
  /^Perl_safesys(malloc|calloc|realloc)$/,
  // V8 and Node
  /^(node::(Realloc|Malloc|Calloc|Unchecked(Malloc|Calloc|Realloc))|v8::internal::(Malloced|AlignedAlloc|NewArray|AllocWithRetry|Malloc))/,
];

const known = new Map<string, boolean>();

/** Whether a function only passes an allocation on. */
export function isAllocationFunction(name: string): boolean {
  let answer = known.get(name);
  if (answer === undefined) known.set(name, answer = PATTERNS.some((pattern) => pattern.test(name)));
  return answer;
}

/** Index of the innermost frame that is not an allocation function; 0 when all are. */
export function culprit(stack: readonly Pick<NamedFrame, "function">[]): number {
  const index = stack.findIndex((frame) => !isAllocationFunction(frame.function));
  return index < 0 ? 0 : index;
}
