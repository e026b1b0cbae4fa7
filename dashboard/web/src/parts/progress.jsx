// A run under way: how far, what it does now, how long it will still take.
import { RunLink } from './basics.jsx';
import { count, duration } from '../format.js';

export function trialText(trial) {
	return trial ? `${trial.mechanism} ${trial.experiment}, ${trial.variant}, block ${trial.block}` : '';
}

export function Progress({ run, alone }) {
	const bad = (run.failed ?? 0) + (run.invalid ?? 0);
	return (
		<section class="progress" aria-label={`Run ${run.id}`}>
			<p>
				{alone ? <b>{run.state}</b> : <RunLink id={run.id} />}{' '}
				<span>
					{run.mechanisms?.join(', ')} {run.profile && `(${run.profile})`}
				</span>{' '}
				{!run.trouble && (
					<span class="count">
						{run.finished} of {count(run.planned, 'trial')}
						{bad ? `, ${bad} failed or invalid` : ''}
					</span>
				)}
				{run.left_s !== undefined && run.state === 'running' && <span> · {duration(run.left_s)} left</span>}
			</p>
			{run.trouble ? (
				<p class="bad">How far it is cannot be told: {run.trouble}</p>
			) : (
				<progress value={run.finished ?? 0} max={run.planned || 1} aria-label="trials finished">
					{run.finished}/{run.planned}
				</progress>
			)}
			{run.trial && <p class="quiet">now: {trialText(run.trial)}</p>}
		</section>
	);
}
