//! Times hostile inputs. `cargo xtask fuzz` feeds random ones.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use life_agent_gates::command::{CommandContext, Shell, assess};

const PIECES: &[&str] = include!("../../src/command/tests/pieces.in");

/// The processor time of this thread where the system reports it, else the clock: other load must not count.
#[expect(clippy::disallowed_methods, reason = "a program may read files and the clock")]
fn now() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let used = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let used = used.and_then(|text| text.split(' ').next()?.parse().ok());
    used.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

fn timed(text: &str, shell: Option<Shell>) -> Duration {
    let start = now();
    let context = CommandContext { shell, ..CommandContext::default() };
    std::hint::black_box(assess(text, &context));
    now().saturating_sub(start)
}

/// Prints the time of each kind of hostile filler at several sizes; whether all stay within 50 ms.
pub(crate) fn time() -> bool {
    let mut worst = Duration::ZERO;
    for shell in [Shell::Posix, Shell::PowerShell, Shell::Cmd] {
        for piece in PIECES {
            for size in [1_000, 16_000, 64_000, 1_000_000] {
                let text = piece.repeat(size / piece.len() + 1);
                let text = text.get(..size).unwrap_or(&text);
                let took = (0..2).map(|_| timed(text, Some(shell))).min().unwrap_or_default();
                if took > Duration::from_millis(10) {
                    println!("{shell:?} {piece:?} x {size}: {took:?}");
                }
                worst = worst.max(took);
            }
        }
    }
    let ordinary =
        "cd /work/app && cargo test --workspace 2>&1 | tail -20; git status --short\n".repeat(13);
    let took = (0..200).map(|_| timed(&ordinary, None)).min().unwrap_or_default();
    println!("{} ordinary bytes: {took:?}; worst hostile: {worst:?}", ordinary.len());
    worst <= Duration::from_millis(50)
}
