use super::*;

type Row = (i64, &'static str, &'static str);

const ROWS: [Row; 9] = [
    (10, "1", "a"),
    (10, "1", "b"),
    (10, "2", "a"),
    (10, "3", "a"),
    (11, "1", "c"),
    (11, "3", "b"),
    (12, "2", "b"),
    (12, "2", "c"),
    (13, "1", "d"),
];

fn key((at, instance, id): &Row) -> SortKey {
    SortKey::new(Timestamp::from_millis(*at), &InstanceId::new(instance).unwrap(), vec![(*id).to_owned()])
}

/// Reads as a store does: merges the rows of each instance in its range, in the order of reading.
fn read(paging: &Paging<SortKey>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for instance in ["1", "2", "3"] {
        let range = paging.range(&InstanceId::new(instance).unwrap(), &[KeyPart::LOWEST_TEXT]);
        let inside = |row: &&Row| {
            let bound = KeysetBound { at: Timestamp::from_millis(row.0), rest: vec![KeyPart::Text(row.2.to_owned())] };
            row.1 == instance && bound > range.after && bound < range.before
        };
        rows.extend(ROWS.iter().filter(inside));
    }
    rows.sort();
    if !paging.ascending() {
        rows.reverse();
    }
    rows.truncate(paging.rows_to_read() as usize);
    rows
}

fn paging(order: SortOrder, limit: u32, cursor: Option<Cursor<SortKey>>) -> Paging<SortKey> {
    Paging { order, limit, cursor, since: None, until: None }
}

#[test]
fn walking_forth_and_back_finds_every_row_once() {
    for (order, limit) in [(SortOrder::NewestFirst, 1), (SortOrder::NewestFirst, 4), (SortOrder::OldestFirst, 2)] {
        let mut expected = ROWS.to_vec();
        if order == SortOrder::NewestFirst {
            expected.reverse();
        }
        let mut pages = vec![];
        let mut cursor = None;
        loop {
            let paging = paging(order, limit, cursor);
            let page = paging.page(read(&paging), key);
            assert_eq!(page.previous.is_some(), !pages.is_empty());
            pages.push(page.clone());
            let Some(next) = page.next else { break };
            cursor = Some(Cursor::decode("rows", &next.encode("rows")).unwrap());
        }
        let seen: Vec<Row> = pages.iter().flat_map(|page| page.rows.clone()).collect();
        assert_eq!(seen, expected);
        let mut back = pages.pop().and_then(|page| page.previous);
        while let Some(cursor) = back {
            let paging = paging(order, limit, Some(cursor));
            let page = paging.page(read(&paging), key);
            assert_eq!(page.rows, pages.pop().unwrap().rows);
            assert!(page.next.is_some());
            back = page.previous;
        }
        assert!(pages.is_empty());
    }
}

#[test]
fn walking_forth_and_back_in_pages_cut_by_bytes_finds_every_row_once() {
    let size = |(at, _, id): &Row| if at % 2 == 0 { 40 } else { 5 + id.len() };
    for (order, most) in [(SortOrder::NewestFirst, 50), (SortOrder::OldestFirst, 1), (SortOrder::NewestFirst, 90)] {
        let page = |cursor| {
            let paging = paging(order, 4, cursor);
            let page = paging.page(read(&paging), key);
            let sizes: Vec<usize> = page.rows.iter().map(size).collect();
            let page = page.within(most, &sizes);
            assert!(page.rows.len() == 1 || page.rows.iter().map(size).sum::<usize>() <= most, "{page:?}");
            page
        };
        let mut pages = vec![page(None)];
        while let Some(next) = pages.last().and_then(|page| page.next.clone()) {
            pages.push(page(Some(next)));
        }
        let mut expected = ROWS.to_vec();
        if order == SortOrder::NewestFirst {
            expected.reverse();
        }
        let seen: Vec<Row> = pages.iter().flat_map(|page| page.rows.clone()).collect();
        assert_eq!(seen, expected);
        let last = pages.pop().expect("there is a last page");
        let (mut seen, mut back) = (last.rows, last.previous);
        while let Some(cursor) = back {
            let page = page(Some(cursor));
            assert!(page.next.is_some(), "a backwards page has a next one");
            seen.splice(0..0, page.rows);
            back = page.previous;
        }
        assert_eq!(seen, expected);
    }
}

#[test]
fn since_is_included_and_until_is_not() {
    let between = |since: i64, until: i64| Paging {
        since: Some(Timestamp::from_millis(since)),
        until: Some(Timestamp::from_millis(until)),
        ..paging(SortOrder::OldestFirst, 50, None)
    };
    assert_eq!(read(&between(11, 12)), [ROWS[4], ROWS[5]]);
    assert_eq!(read(&between(12, 11)), []);
}

#[test]
fn a_cursor_is_valid_for_its_own_list_only() {
    let text = Cursor { key: key(&ROWS[0]), backwards: true }.encode("rows");
    assert_eq!(Cursor::<SortKey>::decode("rows", &text).unwrap().key, key(&ROWS[0]));
    let json = BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap();
    let spaced = BASE64_URL_SAFE_NO_PAD.encode([b" ", json.as_slice()].concat());
    for (list, text) in [
        ("others", text.as_str()),
        ("rows", ""),
        ("rows", "e30"),
        ("rows", "ñ"),
        ("rows", &text[1..]),
        ("rows", &spaced),
    ] {
        assert_eq!(Cursor::<SortKey>::decode(list, text), Err(UnknownCursor));
    }
}

#[test]
fn a_forged_cursor_is_clamped_to_times_and_columns_that_a_row_can_have() {
    let before = |at, part: KeyPart, lowest| {
        let forged = SortKey { at, instance_id: Some("1".to_owned()), rest: vec![part; 7] };
        let cursor = Some(Cursor { key: forged, backwards: false });
        paging(SortOrder::NewestFirst, 1, cursor).range(&InstanceId::new("1").unwrap(), &[lowest]).before
    };
    let (text, number) = (|| KeyPart::Text("a\0".to_owned()), || KeyPart::Number(7));
    let rest = |part, lowest| before(5, part, lowest).rest;
    assert_eq!(rest(text(), KeyPart::LOWEST_TEXT), [KeyPart::Text("a".to_owned())]);
    assert_eq!(rest(number(), KeyPart::LOWEST_NUMBER), [number()]);
    assert_eq!(rest(number(), KeyPart::LOWEST_TEXT), [KeyPart::LOWEST_TEXT]);
    assert_eq!(rest(text(), KeyPart::LOWEST_NUMBER), [KeyPart::LOWEST_NUMBER]);
    assert_eq!(before(5, text(), KeyPart::LOWEST_TEXT).at, Timestamp::from_millis(5));
    assert_eq!(before(i64::MAX, text(), KeyPart::LOWEST_TEXT).at, Timestamp::MAX);
    assert_eq!(before(i64::MIN, text(), KeyPart::LOWEST_TEXT).at, Timestamp::MIN);
}

#[test]
fn numbered_rows_of_one_time_are_in_the_order_of_their_numbers_whatever_their_instance() {
    let cursor = Some(Cursor { key: SortKey::numbered(Timestamp::from_millis(5), 10), backwards: false });
    let paging = paging(SortOrder::OldestFirst, 1, cursor);
    let after = KeysetBound { at: Timestamp::from_millis(5), rest: vec![KeyPart::Number(10)] };
    for instance in ["", "1", "9"].map(InstanceId::from_store) {
        assert_eq!(paging.range(&instance, &[KeyPart::LOWEST_NUMBER]), paging.span(&[KeyPart::LOWEST_NUMBER]));
    }
    assert_eq!(paging.span(&[KeyPart::LOWEST_NUMBER]).after, after);
    assert!(KeyPart::Number(9) < KeyPart::Number(10), "numbers are not compared as texts");
}
