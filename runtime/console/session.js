// @ts-check

// sessionStorage ends with the tab and is never sent by the browser itself, unlike a cookie.
const key = 'botstack.token';

export const session = {
  get token() {
    return sessionStorage.getItem(key) ?? '';
  },
  /** @param {string} token */
  start(token) {
    sessionStorage.setItem(key, token);
  },
  end() {
    sessionStorage.removeItem(key);
  },
};
