//! The summary of a table, by which two databases are compared: the number of its rows, the least and the greatest value of a
//! column, and a digest that does not depend on the order of the rows.

use sha2::{Digest, Sha256};

use store::{ColumnValue, TableRow};

/// The summary of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableSummary {
    pub rows: u64,
    pub least: Option<ColumnValue>,
    pub greatest: Option<ColumnValue>,
    /// The sums of the halves of the SHA-256 of all rows. A row that exists twice counts twice.
    sums: [u128; 2],
}

impl TableSummary {
    /// Returns the digest as hexadecimal digits.
    pub fn digest(&self) -> String {
        let [first, second] = self.sums;
        format!("{first:032x}{second:032x}")
    }
}

/// A summary of the rows that were read so far.
pub(super) struct Summing {
    summary: TableSummary,
    /// The place of the column whose extremes are looked for.
    extreme: Option<usize>,
}

impl Summing {
    pub(super) fn of(extreme: Option<usize>) -> Self {
        Self { summary: TableSummary::default(), extreme }
    }

    pub(super) fn rows(&self) -> u64 {
        self.summary.rows
    }

    pub(super) fn add(&mut self, mut row: TableRow) {
        let TableSummary { rows, least, greatest, sums } = &mut self.summary;
        *rows += 1;
        let digest = digest(&row);
        for (sum, half) in sums.iter_mut().zip(digest.chunks_exact(16)) {
            let half = half.try_into().map(u128::from_be_bytes).unwrap_or_default();
            *sum = sum.wrapping_add(half);
        }
        let value = self.extreme.filter(|place| *place < row.len()).map(|place| row.swap_remove(place));
        let Some(value) = value.filter(|value| *value != ColumnValue::Null) else { return };
        if least.as_ref().is_none_or(|least| value < *least) {
            *least = Some(value.clone());
        }
        if greatest.as_ref().is_none_or(|greatest| value > *greatest) {
            *greatest = Some(value);
        }
    }

    pub(super) fn end(self) -> TableSummary {
        self.summary
    }
}

/// Returns the SHA-256 of a row. Each value has its kind and its length before it, so that no two rows look the same.
fn digest(row: &[ColumnValue]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |kind: u8, bytes: &[u8]| {
        hash.update([kind]);
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for value in row {
        match value {
            ColumnValue::Null => add(0, &[]),
            ColumnValue::Integer(number) => add(1, &number.to_be_bytes()),
            ColumnValue::Real(number) => add(2, &number.to_bits().to_be_bytes()),
            ColumnValue::Text(text) => add(3, text.as_bytes()),
            ColumnValue::Bytes(bytes) => add(4, bytes),
        }
    }
    hash.finalize().into()
}

/// Returns about how many bytes a value takes.
pub(super) fn size(value: &ColumnValue) -> usize {
    match value {
        ColumnValue::Text(text) => text.len(),
        ColumnValue::Bytes(bytes) => bytes.len(),
        _ => size_of::<ColumnValue>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> ColumnValue {
        ColumnValue::Text(text.to_owned())
    }

    fn summary(rows: &[&[ColumnValue]]) -> TableSummary {
        let mut summing = Summing::of(Some(0));
        rows.iter().for_each(|row| summing.add(row.to_vec()));
        summing.end()
    }

    #[test]
    fn the_order_of_rows_does_not_matter_and_everything_else_does() {
        let (one, two) = ([text("a"), ColumnValue::Integer(1)], [text("b"), ColumnValue::Null]);
        let both = summary(&[&one, &two]);
        assert_eq!(both, summary(&[&two, &one]));
        assert_eq!((both.rows, both.least.clone(), both.greatest.clone()), (2, Some(text("a")), Some(text("b"))));
        for other in [
            &[&one[..]][..],
            &[&one, &one],
            &[&one, &two, &two],
            &[&[text("a"), ColumnValue::Integer(2)], &two],
            &[&one, &[text("b"), text("")]],
            &[&one, &[text("b"), ColumnValue::Bytes(vec![])]],
        ] {
            assert_ne!(both.digest(), summary(other).digest(), "{other:?}");
        }
        let joined = summary(&[&[text("ab"), text("c")]]);
        assert_ne!(joined.digest(), summary(&[&[text("a"), text("bc")]]).digest());
        assert_eq!(summary(&[&[ColumnValue::Null]]).least, None);
    }
}
