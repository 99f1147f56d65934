import assert from "node:assert/strict";
import { test } from "node:test";
import type { Frame, Profile } from "../mod.ts";
import { isAllocationFunction, isWrapper } from "../src/symbols/allocation_functions.ts";
import { demangle, readyToDemangle } from "../src/symbols/demangler.ts";
import { Kinds } from "../src/symbols/kinds.ts";
import type { FrameKind, KindOptions } from "../src/symbols/kinds.ts";
import { cleanFrames, leadOf } from "../src/symbols/lead.ts";
import { fitName, readableName } from "../src/symbols/names.ts";
import type { NamedFrame } from "../src/symbols/named_frame.ts";

const STRING = "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >";

/** What symbolisers say, and what a person would write. */
const READABLE: Readonly<Record<string, string>> = {
  // C++: default arguments, the library's long spellings, return types and parameters go.
  "std::vector<int, std::allocator<int> >::push_back(int const&)": "std::vector<int>::push_back",
  "std::vector<int, std::allocator<int>>::push_back(int&&)": "std::vector<int>::push_back",
  [`void std::vector<${STRING}, std::allocator<${STRING} > >::_M_realloc_insert<${STRING} const&>(int*, ${STRING} const&)`]:
    "std::vector<std::string>::_M_realloc_insert<std::string const&>",
  [`${STRING}::basic_string(char const*)`]: "std::string::string",
  [`${STRING}::~basic_string()`]: "std::string::~string",
  [`std::map<${STRING}, Order, std::less<${STRING} >, std::allocator<std::pair<${STRING} const, Order> > >::operator[](${STRING} const&)`]:
    "std::map<std::string, Order>::operator[]",
  "std::unordered_map<int, int, std::hash<int>, std::equal_to<int>, std::allocator<std::pair<int const, int> > >::at(int const&)":
    "std::unordered_map<int, int>::at",
  "std::unique_ptr<Foo, std::default_delete<Foo> > std::make_unique<Foo>()": "std::make_unique<Foo>",
  "std::__1::basic_string<char, std::__1::char_traits<char>, std::__1::allocator<char> >::append(char const*)":
    "std::string::append",
  "std::basic_ostream<char, std::char_traits<char> >& std::operator<< <std::char_traits<char> >(std::basic_ostream<char, std::char_traits<char> >&, char const*)":
    "std::operator<<",
  "Foo::operator bool() const": "Foo::operator bool",
  "Foo::operator std::vector<int, std::allocator<int> >() const": "Foo::operator std::vector<int>",
  "A::operator()(int) const": "A::operator()",
  "A::operator->() const": "A::operator->",
  "bool operator< <int>(A<int> const&, A<int> const&)": "operator< <int>",
  "operator new(unsigned long)": "operator new",
  "operator new[](unsigned long, std::nothrow_t const&)": "operator new[]",
  "decltype(auto) visit<int>(int&&)": "visit<int>",
  "std::enable_if<((sizeof (int))>(4ul)), void>::type foo<int>(int)": "foo<int>",
  "void call<void (*)(int)>(void (*)(int))": "call<void (*)(int)>",
  "a::b<(Kind)1>::c()": "a::b<(Kind)1>::c",
  "boost::function<void (int)>::operator()(int) const": "boost::function<void (int)>::operator()",
  "foo::bar[abi:cxx11](int)": "foo::bar",
  "(anonymous namespace)::Foo::bar(int)": "Foo::bar",
  "non-virtual thunk to A::f(int)": "A::f",
  "f(int, void (*)(int))": "f",
  "A<(B)1>::operator()(int)": "A<(B)1>::operator()",
  // Lambdas, as GCC's demangler, GCC's debug information and LLVM's demangler write them.
  "handle_request(int)::{lambda()#1}::operator()() const": "{lambda in handle_request}",
  "handle_request(int)::<lambda()>": "{lambda in handle_request}",
  "handle_request(int)::'lambda'()::operator()() const": "{lambda in handle_request}",
  "main::$_0::operator()() const": "{lambda in main}",
  "ns::A::f(int) const::{lambda(int)#2}::operator()(int) const::{lambda()#1}::operator()() const":
    "{lambda in ns::A::f}",
  "foo(std::function<void (int)>)::{lambda()#1}::_FUN()": "{lambda in foo}",
  "std::_Function_handler<void (), handle_request(int)::{lambda()#1}>::_M_invoke(std::_Any_data const&)":
    "std::_Function_handler<void (), {lambda in handle_request}>::_M_invoke",
  // What compilers split off, and versions.
  "foo(int) [clone .isra.0]": "foo",
  "foo(int) (.cold)": "foo",
  "foo.part.0": "foo",
  "f.constprop.0.isra.1": "f",
  "g.lto_priv.0.cold": "g",
  "malloc@@GLIBC_2.2.5": "malloc",
  "__GI___strdup": "__strdup",
  "qsort@plt": "qsort@plt",
  // Rust, legacy and v0, demangled, half demangled and not.
  "<alloc::vec::Vec<T,A> as core::ops::drop::Drop>::drop::h0123456789abcdef":
    "<alloc::vec::Vec<T, A> as core::ops::drop::Drop>::drop",
  "_$LT$alloc..vec..Vec$LT$T$C$A$GT$$u20$as$u20$core..ops..drop..Drop$GT$::drop::h0123456789abcdef":
    "<alloc::vec::Vec<T, A> as core::ops::drop::Drop>::drop",
  "_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar17h930b740aa94f1d3aE":
    "<Test + 'static as foo::Bar<Test>>::bar",
  "mycrate[3c1c0ab]::foo::bar": "mycrate::foo::bar",
  "_RNvNtCs1234_7mycrate3foo3bar": "mycrate::foo::bar",
  "parse::{{closure}}::h0123456789abcdef": "parse::{closure}",
  "mycrate::main::{closure#0}": "mycrate::main::{closure}",
  "alloc::vec::Vec<u8, alloc::alloc::Global>::push": "alloc::vec::Vec<u8>::push",
  "alloc::vec::Vec::<u8>::with_capacity": "alloc::vec::Vec<u8>::with_capacity",
  "core::ops::function::FnOnce::call_once<fn() -> i32, (u8, u8)>":
    "core::ops::function::FnOnce::call_once<fn() -> i32, (u8, u8)>",
  // Left mangled by a symboliser.
  _ZNSt6vectorIiSaIiEE9push_backERKi: "std::vector<int>::push_back",
  "_ZSt11make_sharedI5OrderJEESt10shared_ptrINSt9enable_ifIXntsrSt8is_arrayIT_E5valueES3_E4typeEEDpOT0_":
    "std::make_shared<\u2026>",
  // Other languages, and what is no C++ name, stay.
  "main.(*Server).handle": "main.(*Server).handle",
  "main.main.func1.2": "main.main.func1.2",
  "<module>": "<module>",
  "<listcomp>": "<listcomp>",
  "(anonymous)": "(anonymous)",
  "get size": "get size",
  "java.lang.String com.foo.Bar::baz(int, java.lang.String)": "com.foo.Bar::baz",
  main: "main",
  "": "",
};

test("names read as their authors would write them", async () => {
  await readyToDemangle();
  for (const [raw, name] of Object.entries(READABLE)) assert.equal(readableName(raw).name, name, raw);
});

test("a readable name is its own readable name", () => {
  for (const name of Object.values(READABLE)) assert.equal(readableName(name).name, name);
});

test("keys tell overloads apart, and builds not", () => {
  const key = (raw: string) => readableName(raw).key;
  assert.notEqual(key("f(int)"), key("f(char)"));
  assert.notEqual(key("(anonymous namespace)::f()"), key("f()"));
  assert.notEqual(key("f()::{lambda()#1}::operator()() const"), key("f()::{lambda()#2}::operator()() const"));
  for (
    const [one, other] of [
      ["foo::h0123456789abcdef", "foo::hfedcba9876543210"],
      ["a[3c1c0]::b", "a[77777]::b"],
      ["f(int) [clone .isra.0]", "f(int) [clone .constprop.3]"],
      [
        "std::vector<int, std::allocator<int> >::f(std::pair<A, B> >*)",
        "std::vector<int, std::allocator<int>>::f(std::pair<A, B> >*)",
      ],
      ["f(int)::'lambda'(int)::operator()(int) const", "f(int)::{lambda(int)#1}::operator()(int) const"],
    ] as const
  ) assert.equal(key(one), key(other));
});

test("no name is too odd", () => {
  const odd = [
    "operator",
    "operator<",
    "a::operator",
    "((((",
    "<<<<",
    "a<b",
    "f(",
    "::",
    "~",
    "{{",
    "'lambda",
    "a::<b",
    "<lambda(",
    ")",
    "x".repeat(100_000),
    "<".repeat(60_000),
    `${"a<".repeat(500)}b${">".repeat(500)}`,
    "$LT$",
    "_ZN",
    "_R",
    "_Z99999999a",
    "\u0000",
  ];
  for (const name of odd) {
    const { name: readable, key } = readableName(name);
    assert.ok(readable.length > 0 && key.length > 0, name.slice(0, 30));
    for (const width of [1, 2, 12, 40]) {
      assert.ok(fitName(readable, width).length <= width, `${name.slice(0, 30)} in ${width}`);
    }
  }
  assert.equal(demangle("_Z"), "_Z");
});

test("where room is short arguments go, then namespaces, and the end stays", () => {
  const name = "outer::inner::Cache<std::string, std::vector<int>>::insert_all";
  assert.equal(fitName(name, 100), name);
  assert.equal(fitName(name, 36), "outer::inner::Cache<\u2026>::insert_all");
  assert.equal(fitName(name, 24), "\u2026::Cache<\u2026>::insert_all");
  assert.equal(fitName(name, 15), "\u2026::insert_all");
  assert.match(fitName(name, 9), /^.+\u2026_all$/);
  assert.equal(
    fitName("<alloc::vec::Vec<T, A> as core::ops::drop::Drop>::drop", 26),
    "<Vec<\u2026> as Drop>::drop",
  );
});

/** Frames by what is judged of them. */
function kinds(executable: string, options: KindOptions = {}) {
  const profile = { process: { executable }, callPaths: [] } as unknown as Profile;
  const all = new Kinds(profile, options);
  const place: Frame = { module: 0, address: 1 };
  return (fn: string, module = executable, file = ""): FrameKind => all.of({ function: fn, module, file }, place);
}

test("whose code a frame is", () => {
  const native = kinds("/home/me/build/app");
  const cases: readonly (readonly [FrameKind, string, (string | undefined)?, string?])[] = [
    ["own", "load_orders"],
    ["own", "load_orders", "/home/me/build/libmine.so"],
    ["own", ""],
    ["allocation", "operator new", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6"],
    ["allocation", "__rust_alloc"],
    ["allocation", "alloc::raw_vec::finish_grow"],
    ["wrapper", "xmalloc"],
    ["wrapper", "zmalloc"],
    ["standard", "std::vector<int>::push_back"],
    ["standard", "std::vector<int>::push_back", undefined, "/usr/include/c++/12/bits/stl_vector.h"],
    ["own", "std::hash<Key>::operator()", undefined, "/home/me/src/key.h"],
    ["standard", "<alloc::vec::Vec<T, A> as core::ops::drop::Drop>::drop"],
    ["standard", "<T as alloc::string::ToString>::to_string"],
    ["own", "<app::Order as core::clone::Clone>::clone"],
    ["standard", "hashbrown::raw::RawTable<T>::reserve"],
    ["system", "serde_json::de::from_str", undefined, "/root/.cargo/registry/src/index/serde_json-1.0/src/de.rs"],
    ["standard", "qsort", "/lib/x86_64-linux-gnu/libc.so.6"],
    ["system", "sqlite3_step", "/usr/lib/x86_64-linux-gnu/libsqlite3.so.0", "./sqlite3.c"],
    ["standard", "_start"],
  ];
  for (const [kind, fn, module, file] of cases) assert.equal(native(fn, module, file), kind, `${fn} ${module} ${file}`);

  const python = kinds("/usr/bin/python3.12");
  assert.equal(python("_PyEval_EvalFrameDefault"), "runtime");
  assert.equal(python("normalise", "", "/home/me/app.py"), "script");
  assert.equal(python("loads", "", "/usr/lib/python3.12/json/__init__.py"), "standard");
  assert.equal(python("mean", "", "/home/me/venv/lib/python3.12/site-packages/numpy/core.py"), "system");
  assert.equal(python("ufunc", "/home/me/venv/lib/python3.12/site-packages/numpy/core/_m.so"), "system");
  assert.equal(python("mine", "/home/me/ext.cpython-312-x86_64-linux-gnu.so"), "own");

  const node = kinds("/usr/bin/node");
  assert.equal(node("render", "", "/app/view.js"), "script");
  assert.equal(node("readFileSync", "", "node:fs"), "standard");
  assert.equal(node("Builtin:ArrayMap", "", ""), "runtime");
  assert.equal(node("", "", ""), "runtime");

  // A program of the system is the user's question all the same, with what is in its own folder.
  const inkscape = kinds("/usr/bin/inkscape");
  assert.equal(inkscape("SPDocument::createDoc", "/usr/lib/x86_64-linux-gnu/inkscape/libinkscape_base.so"), "own");
  assert.equal(inkscape("g_object_new", "/usr/lib/x86_64-linux-gnu/libgobject-2.0.so.0"), "system");
  const compiler = kinds("/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus");
  assert.equal(compiler("parse", "/usr/lib/gcc/x86_64-linux-gnu/12/plugin.so"), "own");
});

test("the guess whose code it is can be corrected", () => {
  const of = kinds("/home/me/app", {
    own: /libsqlite3/,
    notOwn: /^generated_|third_party/,
    allocationFunctions: /^my_new$/,
  });
  assert.equal(of("sqlite3_step", "/usr/lib/libsqlite3.so.0"), "own");
  assert.equal(of("generated_parser"), "system");
  assert.equal(of("f", undefined, "/home/me/third_party/a.c"), "system");
  assert.equal(of("my_new"), "wrapper");
});

test("wrappers are known by name, or by name and shape", () => {
  for (
    const name of [
      "zmalloc",
      "ztrymalloc_usable_internal",
      "ngx_palloc",
      "os::malloc",
      "x264_malloc",
      "sqlite3Malloc",
      "palloc",
      "palloc0",
      "CRYPTO_zalloc",
      "xmalloc",
      "g_malloc",
      "g_malloc0",
      "default_malloc",
      "__zend_malloc",
      "_emalloc",
      "Perl_safesysmalloc",
      "apr_palloc",
      "xstrdup",
      "ruby_xmalloc2",
      "av_malloc",
    ]
  ) assert.ok(isWrapper(name, () => 0), name);
  for (const name of ["load_orders", "parse_allocations", "main", "reallocate_seats", "allocator_report"]) {
    assert.ok(!isWrapper(name, () => 0), name);
  }
  assert.ok(isWrapper("pool_alloc_bytes", () => 9));
  assert.ok(!isWrapper("pool_alloc_bytes", () => 2));
  assert.ok(!isWrapper("make_order", () => 100));
  for (const name of ["malloc", "__libc_calloc", "mi_malloc", "operator new[]"]) {
    assert.ok(isAllocationFunction(name), name);
  }
});

function frame(fn: string, kind: FrameKind): NamedFrame {
  return { function: fn, key: fn, kind, module: "/app", file: "", line: 0, inlined: false, address: 1 };
}

test("a row leads with the user's frame, and says how it got to the allocator", () => {
  const stack = [
    frame("operator new", "allocation"),
    frame("std::vector<int>::_M_realloc_insert", "standard"),
    frame("std::vector<int>::push_back", "standard"),
    frame("load", "own"),
    frame("std::for_each", "standard"),
    frame("load_all", "own"),
    frame("load_all", "own"),
    frame("main", "own"),
    frame("__libc_start_main", "standard"),
    frame("_start", "standard"),
  ];
  const { lead, via, callers } = leadOf(stack);
  assert.deepEqual(
    [lead?.function, via?.function, callers.map((f) => f.function)],
    ["load", "std::vector<int>::push_back", ["load_all", "main"]],
  );
  const direct = leadOf([frame("malloc", "allocation"), frame("xmalloc", "wrapper"), frame("main", "own")]);
  assert.deepEqual([direct.lead?.function, direct.via], ["main", undefined]);
  const nobody = leadOf([frame("malloc", "allocation"), frame("_dl_init", "standard")]);
  assert.equal(nobody.lead?.function, "_dl_init");
  assert.equal(leadOf([]).lead, undefined);
});

test("stacks are cleaned of what explains nothing, and never emptied", () => {
  const kindOf = (name: string): FrameKind =>
    /^operator/.test(name) ? "allocation" : name === "xmalloc" ? "wrapper" : name.startsWith("_") ? "standard" : "own";
  const clean = (...names: string[]) =>
    cleanFrames(names.map((name) => frame(name, kindOf(name)))).map((f) => f.function);
  assert.deepEqual(clean("operator new", "g", "f", "f", "main", "__libc_start_main", "_start"), ["g", "f", "main"]);
  assert.deepEqual(clean("xmalloc", "_start"), ["_start"]);
  assert.deepEqual(clean("f", "xmalloc", "f", "g", "f"), ["f", "xmalloc", "f", "g", "f"]);
  assert.deepEqual(clean("_start"), ["_start"]);
  assert.deepEqual(clean(), []);
});
