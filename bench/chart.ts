/** Charts as SVG text, drawn by ECharts without a browser. */
import { BarChart, LineChart } from 'echarts/charts';
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

use([BarChart, LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

/** Horizontal bars, the first on top; null leaves a gap. */
export type BarPanel = {
  readonly kind: 'bars';
  readonly title: string;
  readonly bars: readonly { readonly name: string; readonly value: number | null; readonly color?: string }[];
};

/** Lines over the same places on the x-axis; null interrupts a line. */
export type LinePanel = {
  readonly kind: 'lines';
  readonly title: string;
  readonly xTitle: string;
  readonly x: readonly string[];
  readonly lines: readonly { readonly name: string; readonly values: readonly (number | null)[] }[];
};

export type Panel = BarPanel | LinePanel;

export const COLORS = { ours: '#2a6fb0', others: '#9aa5b1' } as const;

const WIDTH = 1000;
const TITLE_HEIGHT = 40;
/** Names may take two rows. */
const LEGEND_HEIGHT = 50;
const ROW_HEIGHT = 26;
const LINES_HEIGHT = 300;
const PANEL_HEAD = 30;
const PANEL_FOOT = 70;
const LEFT = 190;

const heightOf = (panel: Panel): number => (panel.kind === 'bars' ? panel.bars.length * ROW_HEIGHT : LINES_HEIGHT);

function barParts({ bars }: BarPanel, index: number): { x: object; y: object; series: object[] } {
  return {
    x: { type: 'value', gridIndex: index },
    y: { type: 'category', gridIndex: index, inverse: true, data: bars.map(({ name }) => name) },
    series: [
      {
        type: 'bar',
        xAxisIndex: index,
        yAxisIndex: index,
        data: bars.map(({ value, color = COLORS.others }) => ({ value: value ?? '-', itemStyle: { color } })),
        label: { show: true, position: 'right' },
        barMaxWidth: ROW_HEIGHT - 8,
      },
    ],
  };
}

function lineParts({ x, xTitle, lines }: LinePanel, index: number): { x: object; y: object; series: object[] } {
  return {
    x: { type: 'category', gridIndex: index, data: [...x], name: xTitle, nameLocation: 'middle', nameGap: 26 },
    y: { type: 'value', gridIndex: index },
    series: lines.map(({ name, values }) => ({
      type: 'line',
      name,
      xAxisIndex: index,
      yAxisIndex: index,
      data: values.map((value) => value ?? '-'),
    })),
  };
}

/** Without what ECharts adds for pages with a mouse, which also differs from chart to chart. */
function still(svg: string): string {
  return svg
    .replaceAll(/<style[\s\S]*?<\/style>\n?/g, '')
    .replaceAll(/ (class|ecmeta_\w+)="[^"]*"/g, '')
    .replaceAll(/\bzr\d+-c/g, 'clip');
}

/** Panels under each other, with a title. Line panels share one legend. */
export function drawChart(title: string, panels: readonly Panel[]): string {
  const hasLines = panels.some(({ kind }) => kind === 'lines');
  let top = TITLE_HEIGHT + (hasLines ? LEGEND_HEIGHT : 0);
  const placed = panels.map((panel) => {
    const at = top + PANEL_HEAD;
    top = at + heightOf(panel) + PANEL_FOOT;
    return { panel, at };
  });
  const parts = panels.map((panel, index) =>
    panel.kind === 'bars' ? barParts(panel, index) : lineParts(panel, index),
  );
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: top });
  try {
    chart.setOption({
      animation: false,
      backgroundColor: '#ffffff',
      title: [
        { text: title, left: 10, top: 8, textStyle: { fontSize: 16 } },
        ...placed.map(({ panel, at }) => ({
          text: panel.title,
          left: 10,
          top: at - PANEL_HEAD + 4,
          textStyle: { fontSize: 13, fontWeight: 'normal' },
        })),
      ],
      grid: placed.map(({ panel, at }) => ({ left: LEFT, right: 80, top: at, height: heightOf(panel) })),
      ...(hasLines ? { legend: { top: TITLE_HEIGHT, left: 10, itemGap: 28 } } : {}),
      xAxis: parts.map(({ x }) => x),
      yAxis: parts.map(({ y }) => y),
      series: parts.flatMap(({ series }) => series),
    });
    return `${still(chart.renderToSVGString())}\n`;
  } finally {
    chart.dispose();
  }
}
