// @ts-check
// The loaded part of a conversation: pages that follow each other, each of which knows the question for the next one on
// both sides. Pages that are far from what is seen are forgotten, so that a conversation of any length takes little memory.
import { signal } from './vendor.js';
import { ApiError, get, path } from './api.js';

/** @typedef {any} Message */
/** @typedef {Record<string, unknown>|null} Question */
/** @typedef {{messages: Message[], older: Question, newer: Question}} Page */

const LIMIT = 50;
const MOST_PAGES = 5;
/** The number of messages that the last page takes from the feed before another page begins. */
const LARGEST_PAGE = 50;
/** The number of new messages that are shown at once. */
const MOST_FRESH = 100;
/** The number of messages before the last one among which a late one is looked for. */
const LATE = 20;
const SECOND = 1000;
/** The events of the feed that bring a message. */
const NEW = ['message_received', 'message_sent'];

/** @param {string} at @param {number} [more] */
const moment = (at, more = 0) => new Date(new Date(at).valueOf() + more).toISOString();
/** The ids of a message as one text. @param {{instance_id: string, id: string}} message */
export const keyOf = (message) => `${message.instance_id}/${message.id}`;
/** @param {Message} a @param {Message} b */
const inOrder = (a, b) => a.occurred_at < b.occurred_at || (a.occurred_at === b.occurred_at && a.received_at <= b.received_at);

export class Conversation {
  /** @param {string} instance @param {string} chat */
  constructor(instance, chat) {
    this.instance = instance;
    this.chat = chat;
    /** @type {Page[]} The oldest first. */
    this.pages = [];
    /** Counts changes, for the view. */
    this.version = signal(0);
    /** The number of new messages that are not shown yet. */
    this.unseen = signal(0);
    this.failure = signal(/** @type {unknown} */ (null));
    this.ready = signal(false);
    /** True while the newest messages are what is read. */
    this.following = true;
    this.stop = new AbortController();
    this.busy = { older: false, newer: false };
    /** The ids of the messages that are not shown yet. */
    this.fresh = new Set();
    /** The messages that the feed named and that are to be asked for; true for those that are new. @type {Map<string, boolean>} */
    this.changed = new Map();
    this.refreshed = Promise.resolve();
    this.timer = /** @type {ReturnType<typeof setTimeout>|undefined} */ (undefined);
  }

  close() {
    this.stop.abort();
    clearTimeout(this.timer);
  }

  /** Counts all messages as seen. */
  see() {
    this.fresh.clear();
    this.unseen.value = 0;
  }

  /** @param {string} id */
  find(id) {
    return this.messages.find((it) => it.id === id);
  }

  get messages() {
    return this.pages.flatMap((page) => page.messages);
  }

  /** True if the newest message is among those that are loaded. */
  get atEnd() {
    return this.pages.length > 0 && this.pages[this.pages.length - 1].newer === null;
  }

  get atBeginning() {
    return this.pages.length > 0 && this.pages[0].older === null;
  }

  /** @param {Record<string, unknown>} question @returns {Promise<Page>} */
  async ask(question) {
    const where = `/chats${path(this.instance, this.chat)}/messages`;
    const { data, next_cursor, prev_cursor } = await get(where, { limit: LIMIT, ...question }, this.stop.signal);
    const { cursor, ...rest } = question;
    /** @param {string|null} to @returns {Question} */
    const link = (to) => (to ? { ...rest, cursor: to } : null);
    // A question with a border has an end there, and what is on its other side is another question.
    const { since, until } = question;
    return question.order === 'asc'
      ? { messages: data, older: link(prev_cursor) ?? (since ? { until: since } : null), newer: link(next_cursor) }
      : { messages: data.reverse(), older: link(next_cursor), newer: link(prev_cursor) ?? (until ? { since: until, order: 'asc' } : null) };
  }

  /** @param {() => Promise<Page[]>} load */
  async replace(load) {
    try {
      const pages = await load();
      this.pages = pages.filter((page, n) => page.messages.length > 0 || n === pages.length - 1);
      this.see();
      this.failure.value = null;
    } catch (error) {
      if (this.stop.signal.aborted) return;
      this.failure.value = error;
    }
    this.ready.value = true;
    this.version.value++;
  }

  /** Loads the newest messages. */
  loadEnd() {
    return this.replace(async () => [await this.ask({})]);
  }

  /** Loads the messages before and after a time. @param {string} at */
  loadAround(at) {
    return this.replace(async () => {
      // Times are often whole seconds, so that both sides meet between two seconds.
      const border = moment(at, SECOND);
      const [before, behind] = await Promise.all([this.ask({ until: border }), this.ask({ since: border, order: 'asc' })]);
      before.newer = { since: border, order: 'asc' };
      behind.older = { until: border };
      return behind.messages.length ? [before, behind] : [{ ...before, newer: null }];
    });
  }

  /** Loads the messages around one of them. Returns false if there is no such message. @param {string} id */
  async loadMessage(id) {
    if (this.messages.some((it) => it.id === id)) return true;
    try {
      const message = await get(`/messages${path(this.instance, id)}`, {}, this.stop.signal);
      await this.loadAround(message.occurred_at);
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return false;
      this.failure.value = error;
      return true;
    }
  }

  /** Loads a further page on one side. @param {'older'|'newer'} side */
  async extend(side) {
    const edge = side === 'older' ? this.pages[0] : this.pages[this.pages.length - 1];
    if (!edge?.[side] || this.busy[side]) return;
    this.busy[side] = true;
    try {
      const page = await this.ask(/** @type {any} */ (edge[side]));
      if (this.pages.includes(edge)) {
        const known = new Set(this.messages.map(keyOf));
        page.messages = page.messages.filter((it) => !known.has(keyOf(it)));
        this.join(page, side);
      }
    } catch (error) {
      // The next movement asks again.
    }
    this.busy[side] = false;
  }

  /** @param {Page} page @param {'older'|'newer'} side */
  join(page, side) {
    if (side === 'older') {
      if (!page.messages.length) this.pages[0].older = page.older;
      else this.pages.unshift(page);
      while (this.pages.length > MOST_PAGES) this.pages.pop();
    } else {
      if (!page.messages.length) this.pages[this.pages.length - 1].newer = page.newer;
      else this.pages.push(page);
      while (this.pages.length > MOST_PAGES) this.pages.shift();
    }
    this.version.value++;
  }

  /** @param {Page} page @returns {Question} */
  after(page) {
    return { since: page.messages[page.messages.length - 1]?.occurred_at, order: 'asc' };
  }

  /** Takes an item of the feed. @param {any} item */
  hear(item) {
    if (!item) {
      this.schedule('*', false);
      return;
    }
    const isNew = NEW.includes(item.event_type);
    const known = new Set(this.messages.map(keyOf));
    for (const change of item.changes ?? []) {
      const mine = change.instance_id === this.instance && (item.chat_id === this.chat || known.has(`${change.instance_id}/${change.message_id}`));
      if (mine) this.schedule(change.message_id, isNew);
    }
    if (item.kind === 'chat' && item.instance_id === this.instance && (item.chat_id === this.chat || item.alias === this.chat)) this.schedule('*', false);
  }

  /** @param {string} id @param {boolean} isNew */
  schedule(id, isNew) {
    this.changed.set(id, isNew || (this.changed.get(id) ?? false));
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      const ids = this.changed;
      this.changed = new Map();
      // One after the other, so that no message is put into its place twice.
      this.refreshed = this.refreshed.then(() => this.refresh(ids)).catch(() => ids.forEach((isNew, id) => this.changed.set(id, isNew)));
    }, 250);
  }

  /** Asks again for messages that changed, and for those that are newer than the newest. @param {Map<string, boolean>} ids */
  async refresh(ids) {
    if (!this.ready.value) return;
    const loaded = new Map(this.messages.map((it) => [it.id, it]));
    const changed = ids.has('*') ? [] : [...ids.keys()].filter((id) => loaded.has(id));
    const added = ids.has('*') || changed.length < ids.size;
    const renewed = ids.has('*') || changed.length > 10 ? await this.renewed() : await this.each(changed);
    for (const page of this.pages) {
      page.messages = page.messages.map((it) => renewed.get(it.id) ?? it);
    }
    for (const [id, isNew] of ids) {
      if (isNew && !loaded.has(id)) this.fresh.add(id);
    }
    if (added && (this.atEnd || this.fresh.size)) await this.append();
    this.unseen.value = this.fresh.size;
    this.version.value++;
  }

  /** @param {string[]} ids */
  async each(ids) {
    const found = await Promise.all(ids.map((id) => get(`/messages${path(this.instance, id)}`, {}, this.stop.signal)));
    return new Map(found.map((it) => [it.id, it]));
  }

  /** Asks for all loaded messages again, with a few questions. */
  async renewed() {
    const all = this.messages;
    /** @type {Map<string, Message>} */
    const renewed = new Map();
    if (!all.length) return renewed;
    /** @type {Question} */
    let question = { since: all[0].occurred_at, until: moment(all[all.length - 1].occurred_at, SECOND), order: 'asc', limit: 200 };
    for (let n = 0; question && n < MOST_PAGES; n++) {
      const page = /** @type {Page} */ (await this.ask(question));
      for (const it of page.messages) renewed.set(it.id, it);
      question = page.newer;
    }
    return renewed;
  }

  /** Puts new messages into their places. If there are too many, or newer ones are not loaded, only those that arrived late and
   * belong before what is loaded: the rest follows when somebody scrolls there. */
  async append() {
    const before = this.messages;
    const from = before[Math.max(0, before.length - LATE)]?.occurred_at;
    const page = await this.ask(from ? { since: from, order: 'asc', limit: 200 } : {});
    // Somebody may have scrolled meanwhile.
    const all = this.messages;
    const last = all[all.length - 1];
    const known = new Set(all.map(keyOf));
    let fresh = page.messages.filter((it) => !known.has(keyOf(it)));
    for (const it of fresh) {
      if (it.is_service) this.fresh.delete(it.id);
      else this.fresh.add(it.id);
    }
    // Whoever reads above is not to carry all that arrives below.
    const isFull = !this.following && this.pages.length >= MOST_PAGES;
    if (last && (!this.atEnd || isFull || (page.newer && fresh.length > MOST_FRESH))) {
      const end = this.pages[this.pages.length - 1];
      end.newer ??= this.after(end);
      fresh = fresh.filter((it) => !inOrder(last, it));
    }
    fresh.forEach((it) => this.insert(it));
  }

  /** @param {Message} message */
  insert(message) {
    let n = this.pages.length - 1;
    while (n > 0 && !inOrder(this.pages[n].messages[0] ?? message, message)) n--;
    let page = this.pages[n];
    const isLast = n === this.pages.length - 1;
    if (isLast && page.messages.length >= LARGEST_PAGE && inOrder(page.messages[page.messages.length - 1], message)) {
      page.newer = this.after(page);
      page = { messages: [], older: { until: moment(message.occurred_at, SECOND) }, newer: null };
      this.pages.push(page);
    }
    let at = page.messages.length;
    while (at > 0 && !inOrder(page.messages[at - 1], message)) at--;
    page.messages.splice(at, 0, message);
  }

  /** Forgets the oldest pages while the newest are read. */
  trim() {
    while (this.pages.length > MOST_PAGES) this.pages.shift();
  }
}
