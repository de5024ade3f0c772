/**
 * Names of systemd's properties of units, as `systemctl show` prints them: words of letters and digits (org.freedesktop.systemd1(5)).
 *
 * @module
 */

/** As many as one request may name. */
export const PROPERTIES_MAX = 200;

const PROPERTY_NAME = /^[A-Za-z][A-Za-z0-9]{0,63}$/;

export function isPropertyName(text: string): boolean {
  return PROPERTY_NAME.test(text);
}
