/** Reads the chart's values.yaml: each value with its path, its default and the comment above it. */
import { isMap, parseDocument } from 'yaml';

/**
 * The values in the order of the file; a value that is a map with keys of its own has `children`.
 * Throws when a value has no comment. `nested(path)` says whether the keys of a map are values of the chart.
 */
export function chartValues(text, nested = () => true) {
  return membersOf(parseDocument(text).contents, [], nested);
}

function membersOf(map, parents, nested) {
  return map.items.map(({ key, value }, index) => {
    const path = [...parents, key.value].join('.');
    // The parser gives the comment above the first key to the map.
    const comment = key.commentBefore ?? (index === 0 ? map.commentBefore : undefined);
    if (!comment) throw new Error(`helm/otaflux/values.yaml: ${path} has no comment`);
    // An empty line ends the comment of a group of values.
    const description = comment
      .split(/\n(?=\n)/)
      .at(-1)
      .replaceAll(/\s*\n\s*/g, ' ')
      .trim();
    const children = isMap(value) && value.items.length > 0 && nested(path);
    return {
      path,
      key: key.value,
      description,
      value: value?.toJSON() ?? null,
      ...(children && { children: membersOf(value, [...parents, key.value], nested) }),
    };
  });
}
