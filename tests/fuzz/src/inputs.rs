//! Inputs: sequences of a target's pieces, mutated texts of its corpus, repetitions up to the largest body, and noise.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::random::Random;
use crate::targets::Target;

/// Longest input, in bytes: a body of 1 MiB.
pub(crate) const MAX_INPUT: usize = 1024 * 1024;

/// The folder of a target's corpus.
pub(crate) fn corpus_folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The corpus of a target, in the order of the file names.
pub(crate) fn corpus(target: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let folder = corpus_folder(target);
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("reading the folder `{}`", folder.display()))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).map_err(anyhow::Error::from)).collect()
}

/// An input of a target.
pub(crate) fn input(random: &mut Random, target: &Target, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut text = match random.below(10) {
        0..=3 => sequence(random, target.pieces),
        4..=6 => {
            let texts: Vec<&[u8]> = corpus.iter().map(Vec::as_slice).collect();
            random.pick(&texts).unwrap_or_default().to_vec()
        }
        7 => repetition(random, target.pieces),
        8 => {
            let few: Vec<&str> = (0..4).filter_map(|_| random.pick(target.pieces)).collect();
            sequence(random, &few)
        }
        _ => {
            let len = 1 + random.below(200);
            (0..len).map(|_| random.byte()).collect()
        }
    };
    for _ in 0..random.below(6) {
        mutate(random, target, corpus, &mut text);
    }
    text.truncate(MAX_INPUT);
    text
}

fn sequence(random: &mut Random, pieces: &[&str]) -> Vec<u8> {
    let count = if random.one_in(20) { 4000 } else { 1 + random.below(80) };
    let mut text = Vec::new();
    for _ in 0..count {
        text.extend_from_slice(random.pick(pieces).unwrap_or_default().as_bytes());
    }
    text
}

/// One or two pieces again and again: the cost of a text is in its repetitions.
fn repetition(random: &mut Random, pieces: &[&str]) -> Vec<u8> {
    let (one, two) =
        (random.pick(pieces).unwrap_or_default(), random.pick(pieces).unwrap_or_default());
    let unit = if random.one_in(2) { one.to_owned() } else { format!("{one}{two}") };
    let size = [100, 2_000, 16_000, 64_000, 70_000, MAX_INPUT][random.below(6)];
    let mut text = unit.repeat(size / unit.len().max(1) + 1).into_bytes();
    text.truncate(size);
    text
}

fn mutate(random: &mut Random, target: &Target, corpus: &[Vec<u8>], text: &mut Vec<u8>) {
    let at = random.below(text.len() + 1);
    let end = (at + random.below(40)).min(text.len());
    match random.below(7) {
        0 | 1 => {
            let piece = random.pick(target.pieces).unwrap_or_default();
            text.splice(at..at, piece.bytes());
        }
        2 => drop(text.drain(at..end)),
        3 => {
            let copy = text[at..end].repeat(1 + random.below(8));
            text.splice(at..at, copy);
        }
        4 => {
            if let Some(byte) = text.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        5 => text.truncate(at),
        _ => {
            let texts: Vec<&[u8]> = corpus.iter().map(Vec::as_slice).collect();
            let other = random.pick(&texts).unwrap_or_default();
            let from = random.below(other.len() + 1);
            text.splice(at.., other[from..].iter().copied());
        }
    }
}
