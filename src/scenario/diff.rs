//! Two outputs side by side, line by line: `-` was recorded, `+` came, a blank is in both.

/// The difference as text, one line each. Longest common subsequence; outputs are short.
pub(super) fn diff(recorded: &[String], came: &[String]) -> String {
    let (n, m) = (recorded.len(), came.len());
    let mut common = vec![vec![0_usize; m + 1]; n + 1];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            common[i][j] =
                if recorded[i] == came[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    let mut line = |sign: char, words: &str| {
        text.push_str("  ");
        text.push(sign);
        text.push(' ');
        text.push_str(words);
        text.push('\n');
    };
    while i < n || j < m {
        if i < n && j < m && recorded[i] == came[j] {
            line(' ', &recorded[i]);
            (i, j) = (i + 1, j + 1);
        } else if j == m || (i < n && common[i + 1][j] >= common[i][j + 1]) {
            line('-', &recorded[i]);
            i += 1;
        } else {
            line('+', &came[j]);
            j += 1;
        }
    }
    text
}

/// The first line in which the two differ, counted from 0.
pub(super) fn first_difference(recorded: &[String], came: &[String]) -> usize {
    recorded.iter().zip(came).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_difference_keeps_what_both_have() {
        assert_eq!(diff(&lines("a b c"), &lines("a x c")), "    a\n  - b\n  + x\n    c\n");
        assert_eq!(first_difference(&lines("a b c"), &lines("a x c")), 1);
        assert_eq!(diff(&lines("a"), &lines("a")), "    a\n");
    }
}
