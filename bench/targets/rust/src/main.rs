//! `workloads w1|parse [COUNT]`: Rust programs that allocate, plain or under one of the crates that count allocations
//! (cargo features). Prints nanoseconds per block that the workload makes.
//!
//! - `w1`: 8 sites in no order, 12 to 18 frames below the thread's start, 16 to 512 bytes, a ring of 64 live blocks.
//! - `parse`: a JSON text read into a tree of enums, vectors, strings and maps, and dropped, again and again.
use std::alloc::Layout;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

#[cfg(feature = "alloc_tracker")]
#[global_allocator]
static PEER: alloc_tracker::Allocator<std::alloc::System> = alloc_tracker::Allocator::system();
#[cfg(feature = "dhat")]
#[global_allocator]
static PEER: dhat::Alloc = dhat::Alloc;
#[cfg(feature = "mod_alloc")]
#[global_allocator]
static PEER: mod_alloc::ModAlloc = mod_alloc::ModAlloc::new();
#[cfg(feature = "stats_alloc")]
#[global_allocator]
static PEER: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

type Block = (*mut u8, usize);

macro_rules! sites {
    ($($name:ident $number:literal)*) => {
        $(
            #[inline(never)]
            fn $name(size: usize) -> Block {
                let block = unsafe { std::alloc::alloc(Layout::from_size_align_unchecked(size, 8)) };
                unsafe { *block = $number };
                black_box((block, size))
            }
        )*
        static SITES: [fn(usize) -> Block; 8] = [$($name),*];
    };
}
sites!(site0 0 site1 1 site2 2 site3 3 site4 4 site5 5 site6 6 site7 7);

#[inline(never)]
fn descend(depth: u64, site: usize, size: usize) -> Block {
    black_box(if depth == 0 { SITES[site](size) } else { descend(depth - 1, site, size) })
}

fn drop_block((block, size): Block) {
    if !block.is_null() {
        unsafe { std::alloc::dealloc(block, Layout::from_size_align_unchecked(size, 8)) }
    }
}

fn w1(count: u64) -> u64 {
    let mut numbers = Numbers(1);
    let mut ring = [(std::ptr::null_mut(), 0); 64];
    for i in 0..count as usize {
        drop_block(ring[i % 64]);
        let (depth, site, size) = (5 + numbers.below(7), numbers.below(8), 16 + numbers.below(496));
        ring[i % 64] = descend(depth, site as usize, size as usize);
    }
    ring.into_iter().for_each(drop_block);
    count
}

enum Value {
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Object(BTreeMap<String, Value>),
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn string(&mut self) -> String {
        let start = self.at + 1;
        self.at = start;
        while self.text[self.at] != b'"' {
            self.at += 1;
        }
        self.at += 1;
        String::from_utf8_lossy(&self.text[start..self.at - 1]).into_owned()
    }

    fn value(&mut self) -> Value {
        match self.text[self.at] {
            b'"' => Value::Text(self.string()),
            b'[' => {
                let mut list = Vec::new();
                while self.text[self.at] != b']' {
                    self.at += 1;
                    list.push(self.value());
                }
                self.at += 1;
                Value::List(list)
            }
            b'{' => {
                let mut object = BTreeMap::new();
                while self.text[self.at] != b'}' {
                    self.at += 1;
                    let key = self.string();
                    self.at += 1;
                    object.insert(key, self.value());
                }
                self.at += 1;
                Value::Object(object)
            }
            _ => {
                let start = self.at;
                while self.text[self.at].is_ascii_digit() {
                    self.at += 1;
                }
                Value::Number(std::str::from_utf8(&self.text[start..self.at]).unwrap().parse().unwrap())
            }
        }
    }
}

fn weigh(value: &Value) -> u64 {
    match value {
        Value::Number(n) => *n as u64 % 2,
        Value::Text(text) => text.len() as u64 % 3,
        Value::List(list) => list.iter().map(weigh).sum(),
        Value::Object(object) => object.values().map(weigh).sum(),
    }
}

fn parse(count: u64) -> u64 {
    let row = |i: u64| format!(r#"{{"id":{i},"name":"row number {i}","tags":["a tag","another {i}"],"at":{{"x":{i},"y":[1,2,{i}]}}}}"#);
    let text = format!("[{}]", (0..2000).map(row).collect::<Vec<_>>().join(","));
    let blocks = 2000 * 14;
    let mut sum = 0;
    for _ in 0..count / blocks {
        sum += weigh(&Parser { text: text.as_bytes(), at: 0 }.value());
    }
    black_box(sum);
    count / blocks * blocks
}

fn run(what: &str, count: u64) -> u64 {
    match what {
        "w1" => w1(count),
        "parse" => parse(count),
        _ => panic!("w1 or parse"),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let what = arguments.get(1).map_or("w1", String::as_str);
    let count = arguments.get(2).map_or(1_000_000, |n| n.parse().unwrap());
    #[cfg(feature = "dhat")]
    let _profiler = dhat::Profiler::builder().file_name("/dev/null").build();
    #[cfg(feature = "mod_alloc")]
    let profiler = mod_alloc::Profiler::start();
    #[cfg(feature = "alloc_tracker")]
    let session = alloc_tracker::Session::new().no_stdout().no_file();
    #[cfg(feature = "alloc_tracker")]
    let operation = session.operation("run");
    #[cfg(feature = "alloc_tracker")]
    let span = operation.measure_thread().iterations(1);
    let start = Instant::now();
    let blocks = run(what, count);
    let nanoseconds = start.elapsed().as_nanos() as f64 / blocks as f64;
    #[cfg(feature = "alloc_tracker")]
    drop(span);
    #[cfg(feature = "mod_alloc")]
    black_box(profiler.stop());
    println!("{nanoseconds:.2}");
}
