//! Entries in a row that grows by a block at a time: they are never copied to make room for one more.

use std::ops::{Index, IndexMut};

/// A row that is never moved, in blocks of so many entries: so many that where the blocks lie stays at hand, and so few that what is
/// not used of the last one of each table is little.
#[derive(Debug)]
pub(super) struct Row<T, const BLOCK: usize>(Vec<Vec<T>>);

impl<T, const BLOCK: usize> Default for Row<T, BLOCK> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const BLOCK: usize> Row<T, BLOCK> {
    pub(super) fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * BLOCK + last.len())
    }

    pub(super) fn push(&mut self, entry: T) {
        if let Some(last) = self.0.last_mut().filter(|last| last.len() < BLOCK) {
            last.push(entry);
        } else {
            let mut block = Vec::with_capacity(BLOCK);
            block.push(entry);
            self.0.push(block);
        }
    }

    /// What lies at a place, where there is one.
    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.0.get(at / BLOCK)?.get(at % BLOCK)
    }

    /// Takes an entry out; the last one takes its place.
    pub(super) fn swap_remove(&mut self, at: usize) -> Option<T> {
        let last = self.0.last_mut()?.pop()?;
        self.0.pop_if(|block| block.is_empty());
        if at == self.len() { Some(last) } else { Some(std::mem::replace(&mut self[at], last)) }
    }

    /// All entries, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }
}

impl<T, const BLOCK: usize> Index<usize> for Row<T, BLOCK> {
    type Output = T;
    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.0[at / BLOCK][at % BLOCK]
    }
}

impl<T, const BLOCK: usize> IndexMut<usize> for Row<T, BLOCK> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.0[at / BLOCK][at % BLOCK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beyond a block, too, and with one that is emptied again.
    fn keeps_its_order_but_for_what_takes_a_place<const BLOCK: usize>() {
        let (mut row, mut model) = (Row::<_, BLOCK>::default(), Vec::new());
        assert!(row.get(0).is_none());
        for n in 0..768 {
            row.push(n);
            model.push(n);
            assert_eq!((row.len(), row[n]), (n + 1, n));
            assert!(row.get(n + 1).is_none());
        }
        assert!(row.iter().eq(&model));
        for n in 0..model.len() {
            let at = n * 7 % model.len();
            assert_eq!(row.swap_remove(at), Some(model.swap_remove(at)));
            assert_eq!(row.len(), model.len());
            assert!(model.iter().enumerate().all(|(at, held)| row[at] == *held));
        }
    }

    #[test]
    fn a_row_keeps_its_order_but_for_what_takes_a_place() {
        keeps_its_order_but_for_what_takes_a_place::<1>();
        keeps_its_order_but_for_what_takes_a_place::<127>();
        keeps_its_order_but_for_what_takes_a_place::<256>();
    }
}
