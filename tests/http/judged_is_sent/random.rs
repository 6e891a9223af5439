//! Repeatable choices, and generated credentials in every disguise.

/// The choices of one seed.
pub(super) struct Random(u64);

/// A generated credential: what each field gets, and what must be nowhere afterward.
pub(super) struct Planted {
    /// One text, or two for fields that follow one another.
    pub(super) pieces: Vec<String>,
    /// The disguise, for messages.
    pub(super) disguise: &'static str,
    /// Parts of the credential that no reading of an output may hold.
    pub(super) secrets: Vec<String>,
}

const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const DIGITS: &str = "0123456789";

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea and Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(super) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn text(&mut self, alphabet: &str, length: usize) -> String {
        let letters = alphabet.as_bytes();
        loop {
            let text: String =
                (0..length).map(|_| char::from(letters[self.below(letters.len())])).collect();
            // A text without digits can look like a word.
            if text.bytes().filter(u8::is_ascii_digit).count() * 8 >= length {
                return text;
            }
        }
    }

    /// A token of an issuer, and its random part.
    pub(super) fn token(&mut self) -> (String, String) {
        let (head, alphabet, length) = self.pick(&[
            ("ghp_", ALNUM, 36),
            ("AKIA", UPPER, 16),
            ("sk-proj-", ALNUM, 40),
            ("gsk_", ALNUM, 48),
            ("npm_", ALNUM, 36),
            ("glpat-", ALNUM, 20),
            ("PIN-", DIGITS, 24),
        ]);
        let body = self.text(alphabet, length);
        (format!("{head}{body}"), body)
    }

    /// A credential in a disguise that fits a text, or two texts that follow one another.
    pub(super) fn planted(&mut self, is_pair: bool) -> Planted {
        let (token, body) = self.token();
        let whole = |disguise: &'static str, text: String| Planted {
            pieces: vec![text],
            disguise,
            secrets: vec![body.clone()],
        };
        let each = |write: &dyn Fn(char) -> String| token.chars().map(write).collect::<String>();
        if is_pair && self.one_in(2) {
            // Both halves are long enough to be recognized in an output.
            let at = token.len() - body.len() + body.len() / 2;
            let (head, tail) = token.split_at(at);
            let secrets = [&head[token.len() - body.len()..], tail].map(str::to_owned).into();
            let pieces = vec![format!("it is {head}"), format!("{tail} and so on")];
            return Planted { pieces, disguise: "cut in two", secrets };
        }
        match self.below(9) {
            0 => whole("a named value", format!("api_key = \"{token}\"")),
            1 => whole("JSON escapes", each(&|c| format!("\\u{:04x}", u32::from(c)))),
            2 => whole("percent escapes", each(&|c| format!("%{:02X}", u32::from(c)))),
            3 => whole("entities", each(&|c| format!("&#{};", u32::from(c)))),
            4 => whole("zero width", each(&|c| format!("{c}\u{200b}"))),
            5 => {
                let tag = |c: char| char::from_u32(0xe0000 + u32::from(c)).unwrap();
                whole("tags", each(&|c| tag(c).to_string()))
            }
            6 => {
                let (head, tail) = token.split_at(token.len() / 2);
                whole("quotes", format!("{head}''{tail}"))
            }
            7 => whole("JSON in a text", format!("{{\"a\": [\"{token}\"]}}")),
            _ => whole("plain", format!("it is {token} as before")),
        }
    }
}
