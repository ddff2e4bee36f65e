// @ts-check

const svgNamespace = 'http://www.w3.org/2000/svg';
const [width, height] = [120, 28];

/**
 * A small line of the last readings. Decoration beside the figure, so hidden from screen readers.
 *
 * @param {number} points how many readings it holds
 */
export function createSparkline(points) {
  const element = document.createElementNS(svgNamespace, 'svg');
  element.setAttribute('class', 'sparkline');
  element.setAttribute('viewBox', `0 0 ${width} ${height}`);
  element.setAttribute('preserveAspectRatio', 'none');
  element.setAttribute('aria-hidden', 'true');
  const line = document.createElementNS(svgNamespace, 'polyline');
  line.setAttribute('vector-effect', 'non-scaling-stroke');
  element.append(line);

  /** @type {number[]} */
  let values = [];
  const draw = () => {
    const top = Math.max(1, ...values);
    const step = width / (points - 1);
    const start = width - (values.length - 1) * step;
    const at = (/** @type {number} */ value, /** @type {number} */ i) =>
      `${(start + i * step).toFixed(1)},${(height - 1 - (value / top) * (height - 2)).toFixed(1)}`;
    line.setAttribute('points', values.map(at).join(' '));
  };
  return {
    element,
    /** @param {number} value */
    add(value) {
      values = [...values, value].slice(-points);
      draw();
    },
    clear() {
      values = [];
      draw();
    },
  };
}
