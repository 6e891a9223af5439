//! The process that watches, and the child that feeds inputs.

use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::inputs::{MAX_INPUT, corpus, corpus_folder, input};
use crate::random::Random;
use crate::targets::{TARGETS, Target};
use crate::{Options, clock};

/// The stack of a server's worker.
const STACK: usize = 2 * 1024 * 1024;
/// The longest wait for the next input.
const HANG: Duration = Duration::from_secs(20);
/// Exit status of a child that has reported its failure.
const FOUND: i32 = 3;

/// Runs a child per target; whether all inputs passed.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let chosen = |target: &&Target| {
        options.only.is_empty() || options.only.iter().any(|name| name == target.name)
    };
    let targets: Vec<_> = TARGETS.iter().filter(chosen).collect();
    anyhow::ensure!(!targets.is_empty(), "there is no such target: {}", names());
    let minutes = options.minutes / targets.len() as f64;
    let progress = std::env::temp_dir().join(format!("life-agent-fuzz-{}", std::process::id()));
    let mut passed = true;
    for target in targets {
        std::fs::write(&progress, [0; 8])?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--minutes", &minutes.to_string(), "--seed", &options.seed.to_string()]);
        command.args(["--only", target.name, "--from", &options.from.to_string(), "--child"]);
        let mut child = command.arg(&progress).spawn().context("the child does not start")?;
        let status = watch(&mut child, &progress)?;
        if status.is_some_and(|status| status.success()) {
            continue;
        }
        passed = false;
        let number = position(&progress)?;
        if status.and_then(|status| status.code()) != Some(FOUND) {
            let what = if status.is_none() { "does not end" } else { "ends the process" };
            let text = input(
                &mut Random::of(options.seed, target.name, number),
                target,
                &corpus(target.name)?,
            );
            report(target, options.seed, number, what, &text)?;
        }
    }
    let _ = std::fs::remove_file(&progress);
    Ok(passed)
}

fn names() -> String {
    TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ")
}

/// Waits for the child; `None` if it made no progress and was ended.
fn watch(child: &mut Child, progress: &Path) -> anyhow::Result<Option<ExitStatus>> {
    let (mut last, mut since) = (u64::MAX, Instant::now());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let number = position(progress)?;
        if number != last {
            (last, since) = (number, Instant::now());
        } else if since.elapsed() > HANG {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn position(progress: &Path) -> anyhow::Result<u64> {
    let bytes = std::fs::read(progress)?;
    Ok(bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
}

/// Feeds one target until the time is up or an input fails.
pub(crate) fn work(options: &Options, progress: &Path) -> anyhow::Result<bool> {
    let name = options.only.first().map(String::as_str).unwrap_or_default();
    let target = TARGETS.iter().find(|target| target.name == name).context("no such target")?;
    let (options, progress) =
        (options.clone(), std::fs::File::options().write(true).open(progress)?);
    let worker = std::thread::Builder::new().stack_size(STACK);
    let worker = worker.spawn(move || feed(target, &options, &progress))?;
    match worker.join() {
        Ok(passed) => passed,
        Err(_) => std::process::exit(1),
    }
}

fn feed(
    target: &'static Target,
    options: &Options,
    progress: &std::fs::File,
) -> anyhow::Result<bool> {
    let corpus = corpus(target.name)?;
    let end = Instant::now() + Duration::from_secs_f64(options.minutes * 60.0);
    let (mut number, mut worst, mut slowest) = (options.from, Duration::ZERO, 0);
    // The first input must not pay for compiling patterns.
    let _ = (target.run)(b"warm up");
    while Instant::now() < end {
        progress.write_all_at(&number.to_le_bytes(), 0)?;
        let text = input(&mut Random::of(options.seed, target.name, number), target, &corpus);
        let (failure, took) = timed(target, &text);
        if let Some(failure) = failure {
            report(target, options.seed, number, &failure, &text)?;
            std::io::stderr().flush()?;
            std::process::exit(FOUND);
        }
        if took > worst {
            (worst, slowest) = (took, text.len());
        }
        number += 1;
    }
    let runs = number - options.from;
    println!(
        "{}: {runs} inputs passed, seed {}; the slowest took {worst:.1?} for {slowest} bytes",
        target.name, options.seed
    );
    Ok(true)
}

/// Why an input fails, and its time.
fn timed(target: &Target, text: &[u8]) -> (Option<String>, Duration) {
    let once = || {
        let start = clock::now();
        let done = (target.run)(text);
        (done, clock::now().saturating_sub(start))
    };
    let (done, mut took) = once();
    if let Err(failure) = done {
        return (Some(failure), took);
    }
    let bound = target.bound_for(text.len());
    // The machine may have been interrupted; a text that is slow is slow again.
    for _ in 0..3 {
        if took > bound {
            took = took.min(once().1);
        }
    }
    let slow = took > bound && !cfg!(debug_assertions);
    (slow.then(|| format!("takes {took:.1?}, more than {bound:?}")), took)
}

fn report(target: &Target, seed: u64, number: u64, what: &str, text: &[u8]) -> anyhow::Result<()> {
    let file = corpus_folder(target.name).join(format!("found-{seed}-{number}"));
    std::fs::write(&file, text)?;
    let shown: String = String::from_utf8_lossy(text).chars().take(300).collect();
    eprintln!(
        "{}: an input of {} bytes {what}\n  {shown:?}\n  kept in {}; repeat with --only {} --seed {seed} --from {number}",
        target.name,
        text.len().min(MAX_INPUT),
        file.display(),
        target.name,
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_of_the_corpus_passes() {
        for target in TARGETS {
            let texts = corpus(target.name).unwrap();
            assert!(!texts.is_empty(), "{} has no corpus", target.name);
            for text in texts {
                let shown = String::from_utf8_lossy(&text);
                assert_eq!((target.run)(&text), Ok(()), "{}: {shown:.300?}", target.name);
            }
        }
    }

    #[test]
    fn an_input_follows_from_its_number() {
        for target in TARGETS {
            let corpus = corpus(target.name).unwrap();
            let make = |number| input(&mut Random::of(3, target.name, number), target, &corpus);
            assert_eq!(make(5), make(5));
            assert!((0..50).any(|number| make(number) != make(number + 1)), "{}", target.name);
        }
    }

    #[test]
    fn a_few_inputs_of_every_target_pass() {
        for target in TARGETS {
            let corpus = corpus(target.name).unwrap();
            for number in 0..40 {
                let text = input(&mut Random::of(1, target.name, number), target, &corpus);
                // Unoptimized code takes seconds for the largest.
                if text.len() < 5_000 {
                    let done = (target.run)(&text);
                    assert_eq!(
                        done,
                        Ok(()),
                        "{} {number}: {:?}",
                        target.name,
                        String::from_utf8_lossy(&text)
                    );
                }
            }
        }
    }
}
