// Who makes the peak? <Journal as Book>::record, through a HashMap: 5,000 entries of a String of 100 bytes each.
use std::collections::HashMap;

trait Book {
    fn record(&mut self, n: usize);
}

struct Journal {
    entries: HashMap<usize, String>,
}

impl Book for Journal {
    #[inline(never)]
    fn record(&mut self, n: usize) {
        let mut text = String::with_capacity(100);
        text.push('x');
        self.entries.insert(n, text);
    }
}

fn main() {
    let mut book: Box<dyn Book> = Box::new(Journal { entries: HashMap::new() });
    for n in 0..5000 {
        book.record(n);
    }
    std::hint::black_box(&book);
}
