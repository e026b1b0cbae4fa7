import { Page } from '../parts/basics.jsx';
export function Compare() { return <Page title="Compare" />; }
