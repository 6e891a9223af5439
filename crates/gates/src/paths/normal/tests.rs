//! Which texts are paths below the workspace, and why the others are not.

use proptest::prelude::*;

use super::*;

#[test]
fn honest_paths_pass_as_they_are() {
    for path in [
        "a",
        "docs/a.md",
        ".github/workflows/ci.yml",
        "docs/a file with spaces.md",
        "app/[...slug]/page.tsx",
        "app/(group)/@modal/[id]/page.tsx",
        "src/foo..bar/baz...qux",
        "notes/100% sure.md",
        "notes/50%-off.txt",
        "Größe/naïve/观察.md",
        "icons/🌳.svg",
        "a+b/c=d,e;f&g#h!/~backup/x~",
        "v1.2.3/x_y-z",
        "a%20b/c%2Bd",
    ] {
        assert_eq!(normalize(path).as_deref(), Ok(path), "{path}");
    }
}

#[test]
fn single_dots_are_dropped() {
    assert_eq!(normalize("./docs/./a.md").as_deref(), Ok("docs/a.md"));
}

#[test]
fn everything_else_is_refused_for_its_reason() {
    use PathFault::*;
    for (path, fault) in [
        ("", Empty),
        (".", Empty),
        ("./.", Empty),
        ("..", ParentDir),
        ("../a", ParentDir),
        ("docs/../../a", ParentDir),
        ("docs/..", ParentDir),
        ("/etc/passwd", Absolute),
        ("//host/share", Absolute),
        ("\\\\host\\share", Absolute),
        ("C:/windows", Absolute),
        ("c:windows", Absolute),
        ("docs/C:/windows", Absolute),
        ("~/x", Absolute),
        ("~root/x", Absolute),
        ("./~root/x", Absolute),
        ("././~root", Absolute),
        ("docs/~/x", Absolute),
        ("docs\\a", Backslash),
        ("docs//a", EmptyPart),
        ("docs/", EmptyPart),
        ("docs/a.", TrailingDot),
        ("docs/a /b", TrailingDot),
        ("docs/.../b", TrailingDot),
        ("docs/.env::$DATA", Colon),
        ("docs/a.txt:hidden", Colon),
        ("docs/sub:dir/a", Colon),
        ("docs/a\0b", Control),
        ("docs/a\nb", Control),
        ("docs/\u{200b}a", Control),
        ("docs/\u{202e}gpj.sh", Control),
        ("docs/%2e%2e/a", Encoded),
        ("docs/%252e%252e%252fa", Encoded),
        ("docs%2fa", Encoded),
        ("docs/a%00.md", Encoded),
        ("docs/%c0%ae%c0%ae/a", Encoded),
        ("docs/%u002e%u002e/a", Encoded),
        ("docs/．．/a", Encoded),
        ("docs／a", Encoded),
        ("docs∕a", Encoded),
        ("docs/‥/a", Encoded),
        ("docs/&#46;&#46;/a", Encoded),
        ("docs/a%5cb", Encoded),
        ("docs/a%0ab", Encoded),
    ] {
        assert_eq!(normalize(path), Err(fault), "{path:?}");
    }
    assert_eq!(normalize(&"x".repeat(MAX_BYTES + 1)), Err(TooLong));
}

/// Where a path leads, if a system joins it to a directory four levels deep and follows its parts.
fn depth(path: &str) -> i32 {
    path.split(['/', '\\']).fold(4, |depth, part| match part {
        "" | "." => depth,
        ".." => depth - 1,
        _ => depth + 1,
    })
}

proptest! {
    #[test]
    fn normalized_paths_never_climbs_however_it_is_decoded(
        path in "(\\.{1,3}|/|\\\\|%2[eEfF]|%5c|%25|%c0%ae|．|／|~|a|b |C:|\0|%u2215){1,24}"
    ) {
        if let Ok(normal) = normalize(&path) {
            let read = decoded(&normal).map_or(normal.clone(), |view| view.text().to_owned());
            for text in [normal, read] {
                prop_assert!(depth(&text) > 4, "{path:?} became {text:?}");
                prop_assert!(!text.split('/').any(|part| part.is_empty() || part == ".."));
            }
        }
    }

    #[test]
    fn a_normal_path_is_its_own_normal_form(path in "\\PC{0,40}") {
        if let Ok(normal) = normalize(&path) {
            prop_assert_eq!(normalize(&normal), Ok(normal.clone()));
        }
    }

    #[test]
    fn a_traversal_behind_any_encoding_is_refused(depth in 1usize..5, rounds in 0usize..4) {
        let mut path = format!("docs/{}etc", "../".repeat(depth));
        for _ in 0..rounds {
            path = path.bytes().map(|byte| format!("%{byte:02x}")).collect();
        }
        prop_assert!(normalize(&path).is_err());
    }
}
