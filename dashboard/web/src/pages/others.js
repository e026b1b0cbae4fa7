// All pages but the first: one file for the browser, loaded by main.jsx, which is named here so that
// it becomes one file, too, with what they share (build.js).
import '../main.jsx';

export { Claim } from './claim.jsx';
export { Compare } from './compare.jsx';
export { Files } from './files.jsx';
export { Fleet } from './fleet.jsx';
export { Paper } from './paper.jsx';
export { Run } from './run.jsx';
export { Runs } from './runs.jsx';
export { Trends } from './trends.jsx';
