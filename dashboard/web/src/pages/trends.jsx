import { Page } from '../parts/basics.jsx';
export function Trends() { return <Page title="Trends" />; }
