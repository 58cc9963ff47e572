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
const LARGEST_PAGE = 100;
const SECOND = 1000;

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
    this.stop = new AbortController();
    this.busy = { older: false, newer: false };
    /** The messages that the feed named and that are to be asked for. */
    this.changed = new Set();
    this.timer = /** @type {ReturnType<typeof setTimeout>|undefined} */ (undefined);
  }

  close() {
    this.stop.abort();
    clearTimeout(this.timer);
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
    return question.order === 'asc'
      ? { messages: data, older: link(prev_cursor), newer: link(next_cursor) }
      : { messages: data.reverse(), older: link(next_cursor), newer: link(prev_cursor) };
  }

  /** @param {() => Promise<Page[]>} load */
  async replace(load) {
    try {
      const pages = await load();
      this.pages = pages.filter((page, n) => page.messages.length > 0 || n === pages.length - 1);
      this.unseen.value = 0;
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
      this.schedule('*');
      return;
    }
    const known = new Set(this.messages.map(keyOf));
    for (const change of item.changes ?? []) {
      const mine = change.instance_id === this.instance && (item.chat_id === this.chat || known.has(`${change.instance_id}/${change.message_id}`));
      if (mine) this.schedule(change.message_id);
    }
    if (item.kind === 'chat' && item.instance_id === this.instance && (item.chat_id === this.chat || item.alias === this.chat)) this.schedule('*');
  }

  /** @param {string} id */
  schedule(id) {
    this.changed.add(id);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      const ids = this.changed;
      this.changed = new Set();
      this.refresh(ids).catch(() => ids.forEach((it) => this.changed.add(it)));
    }, 250);
  }

  /** Asks again for messages that changed, and for those that are newer than the newest. @param {Set<string>} ids */
  async refresh(ids) {
    if (!this.ready.value) return;
    const loaded = new Map(this.messages.map((it) => [it.id, it]));
    const changed = ids.has('*') ? [] : [...ids].filter((id) => loaded.has(id));
    const added = ids.has('*') || changed.length < ids.size;
    const renewed = ids.has('*') || changed.length > 10 ? await this.renewed() : await this.each(changed);
    for (const page of this.pages) {
      page.messages = page.messages.map((it) => renewed.get(it.id) ?? it);
    }
    if (added && this.atEnd) await this.append();
    else if (added) this.unseen.value += ids.size - changed.length;
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

  /** Puts new messages into their places after those that are loaded. */
  async append() {
    let last = this.pages[this.pages.length - 1];
    const all = this.messages;
    // A message can arrive late, and belongs before some that are shown already.
    const from = all[Math.max(0, all.length - 20)]?.occurred_at;
    const page = await this.ask(from ? { since: from, order: 'asc', limit: 200 } : {});
    const known = new Set(all.map(keyOf));
    const fresh = page.messages.filter((it) => !known.has(keyOf(it)));
    if (page.newer && fresh.length > LARGEST_PAGE) {
      // Much came at once: the rest is loaded when somebody scrolls there.
      last.newer = this.after(last);
      this.unseen.value += fresh.length;
      return;
    }
    for (const message of fresh) {
      if (last.messages.length >= LARGEST_PAGE && inOrder(last.messages[last.messages.length - 1], message)) {
        last.newer = this.after(last);
        last = { messages: [], older: { until: moment(message.occurred_at, SECOND) }, newer: null };
        this.pages.push(last);
      }
      let at = last.messages.length;
      while (at > 0 && !inOrder(last.messages[at - 1], message)) at--;
      last.messages.splice(at, 0, message);
    }
    this.unseen.value += fresh.filter((it) => !it.is_service).length;
  }

  /** Forgets the oldest pages while the newest are read. */
  trim() {
    while (this.pages.length > MOST_PAGES) this.pages.shift();
  }
}
