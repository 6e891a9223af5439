//! Times hostile inputs, and feeds random ones for as long as asked.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use life_agent_gates::command::{CommandContext, Shell, assess};

const PIECES: &[&str] = &[
    "$(",
    ")",
    "`",
    "'",
    "\"",
    "\\",
    "\n",
    " ",
    ";",
    "|",
    "&&",
    "||",
    "&",
    "<<EOF\n",
    "EOF\n",
    "<<<",
    ">",
    ">>",
    "2>&1",
    "<(",
    "{",
    "}",
    "{a,b}",
    "{a,b,c}{d,e}",
    "${",
    "${x:-",
    "$x",
    "x=",
    "x+=$x$x;",
    "$((",
    "))",
    "(",
    "if ",
    "then ",
    "fi ",
    "for i in ",
    "do ",
    "done ",
    "case x in ",
    "esac ",
    "f() { f; f; }; ",
    "f ",
    "rm -rf ",
    "git push ",
    "bash -c ",
    "eval ",
    "xargs ",
    "find . -exec ",
    "{} \\; ",
    "sudo ",
    "env ",
    "ssh h ",
    "base64 -d ",
    "echo ",
    "/",
    "~",
    "*",
    "é",
    "\0",
    "\r\n",
    "%",
    "^",
    "#",
    "[[",
    "]]",
    "..",
    "-",
    "python -c ",
    "os.system('",
    "docker run ",
    "parallel ",
    ":::",
    "a b c d ",
    "=",
    "@",
    "x[1]=",
];

/// A small generator with a fixed seed: a run can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap_or(0)
    }
}

/// The processor time of this thread where the system tells it, else the clock: other load must not count.
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

/// Feeds random token soup and random bytes; prints the slowest.
#[expect(clippy::disallowed_methods, reason = "a program may read the clock")]
pub(crate) fn fuzz(seconds: u64) -> bool {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut runs, mut worst, mut slowest) = (0u64, Duration::ZERO, String::new());
    while Instant::now() < end {
        let length = if random.next(20) == 0 { 4_000 } else { 1 + random.next(80) };
        let repeats = random.next(3) == 0;
        let mut text = String::new();
        let few: Vec<&str> = (0..4).map(|_| PIECES[random.next(PIECES.len())]).collect();
        for _ in 0..length {
            if repeats {
                text.push_str(few[random.next(4)]);
            } else if random.next(6) == 0 {
                text.push(char::from(u8::try_from(random.next(256)).unwrap_or(b'x')));
            } else {
                text.push_str(PIECES[random.next(PIECES.len())]);
            }
        }
        let shell = [None, None, Some(Shell::Posix), Some(Shell::PowerShell), Some(Shell::Cmd)]
            [random.next(5)];
        let took = timed(&text, shell);
        runs += 1;
        if took > worst {
            worst = took;
            slowest = text;
        }
    }
    let shown: String = slowest.chars().take(300).collect();
    println!("{runs} runs, the slowest {worst:?} for {} bytes: {shown:?}", slowest.len());
    worst <= Duration::from_millis(100)
}
