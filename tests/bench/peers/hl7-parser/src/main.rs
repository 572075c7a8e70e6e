//! How many messages a second the hl7-parser crate parses (structure only, one thread). Reads every *.hl7 file of a
//! folder (one message each) before the clock starts, then parses them round and round.
//!
//! Usage: hl7-parser-peer FOLDER [SECONDS]. Prints {"peer","messages","seconds","per_second","failed"}: messages parsed
//! in the measured time, and how many of the files cannot be parsed (they are left out of the measurement).
use std::hint::black_box;
use std::time::{Duration, Instant};

fn read(folder: &str) -> Vec<String> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "hl7"))
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| {
            let bytes = std::fs::read(path).expect("a file can be read");
            let text: String = bytes.iter().map(|&byte| byte as char).collect();
            text.replace("\r\n", "\r").replace('\n', "\r")
        })
        .collect()
}

fn run(messages: &[String], seconds: f64) -> (u64, f64) {
    let start = Instant::now();
    let length = Duration::from_secs_f64(seconds);
    let mut count = 0;
    while start.elapsed() < length {
        for message in messages {
            black_box(hl7_parser::parse_message(black_box(message)).expect("parsed before"));
            count += 1;
        }
    }
    (count, start.elapsed().as_secs_f64())
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let seconds = arguments.get(2).map_or(5.0, |text| text.parse().expect("seconds"));
    let all = read(arguments.get(1).expect("usage: hl7-parser-peer FOLDER [SECONDS]"));
    let good: Vec<String> = all.iter().filter(|message| hl7_parser::parse_message(message).is_ok()).cloned().collect();
    if good.is_empty() {
        eprintln!("no message that can be parsed");
        std::process::exit(1);
    }
    run(&good, seconds / 5.0);
    let (count, took) = run(&good, seconds);
    println!(
        "{{\"peer\":\"hl7-parser\",\"messages\":{count},\"seconds\":{took:.3},\"per_second\":{:.0},\"failed\":{}}}",
        count as f64 / took,
        all.len() - good.len()
    );
}
