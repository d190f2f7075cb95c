%% Updates that are combined into one write, on a register of this suite's own: its owner holds a
%% value, and lets a write through when it is told to.
-module(ram_update_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([those_that_wait_are_written_together_in_their_order/1,
         after_a_conflict_all_run_again_on_what_was_found/1,
         one_that_raises_changes_nothing_and_the_others_go_on/1,
         nothing_is_raised_about_a_value_that_is_not_written/1,
         nothing_is_raised_about_a_value_that_is_only_cached/1,
         one_that_is_killed_in_its_function_holds_up_nobody/1,
         one_that_is_slow_holds_up_nobody_before_it/1,
         a_refusal_is_told_to_whose_value_it_is_about/1,
         a_write_without_an_answer_is_unknown_to_all_that_are_in_it/1,
         a_server_that_ends_tells_what_may_have_happened_from_what_has_not/1,
         a_combiner_that_crashes_fails_the_updates_of_its_round_alone/1,
         a_message_that_the_server_does_not_know_ends_no_update/1,
         beyond_the_bound_an_update_is_refused_at_once/1,
         a_contended_key_is_written_in_a_turn_by_all_that_wait_then/1,
         a_turn_with_a_value_that_is_not_there_is_a_conflict_as_any_other/1,
         without_a_turn_a_contended_key_is_written_as_any_other/1,
         a_turn_without_a_write_is_given_back/1,
         a_key_is_contended_for_a_second/1,
         a_large_value_is_updated_without_turns/1,
         one_that_changes_nothing_is_answered_by_a_value_that_is_known/1,
         a_value_can_be_deleted_and_made_again_in_one_round/1,
         nothing_is_left_behind/1]).

suite() ->
    [{timetrap, {minutes, 1}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(Case, Config) ->
    %% What is slow on a busy machine is not what is meant by slow.
    SlowMs = case Case of one_that_is_slow_holds_up_nobody_before_it -> 10; _ -> 30000 end,
    {ok, Server} = gen_server:start({local, ram_update}, ram_update, SlowMs, []),
    Suite = self(),
    Register = spawn(fun() -> register_loop(Suite, none) end),
    [{server, Server}, {register, Register} | Config].

end_per_testcase(_Case, Config) ->
    [exit(proplists:get_value(Name, Config), kill) || Name <- [server, register]],
    ram_peers:eventually(fun() -> whereis(ram_update) =:= undefined end).

those_that_wait_are_written_together_in_their_order(Config) ->
    First = update(Config, append(0)),
    Write = next_write(),
    Others = [update_in_line(Config, append(N), N) || N <- lists:seq(1, 50)],
    answer(Write, ok),
    answer(next_write(), ok),
    ?assertEqual(lists:duplicate(51, ok), [result(U) || U <- [First | Others]]),
    ?assertEqual({value, term_to_binary(lists:seq(50, 0, -1)), 2}, held(Config)).

after_a_conflict_all_run_again_on_what_was_found(Config) ->
    First = update(Config, append(0)),
    Write = next_write(),
    Second = update_in_line(Config, append(1), 1),
    answer(Write, {conflict, {term_to_binary([found]), 7}}),
    answer_turn(next_turn(), {error, timeout}),
    answer(next_write(), ok),
    answer(next_write(), ok),
    ?assertEqual([ok, ok], [result(First), result(Second)]),
    ?assertEqual({value, term_to_binary([1, 0, found]), 9}, held(Config)).

one_that_raises_changes_nothing_and_the_others_go_on(Config) ->
    First = update(Config, append(0)),
    Write = next_write(),
    Raises = update_in_line(Config, fun(_) -> error(mine) end, 1),
    Last = update_in_line(Config, append(2), 2),
    answer(Write, ok),
    answer(next_write(), ok),
    ?assertEqual([ok, {raised, mine}, ok], [result(U) || U <- [First, Raises, Last]]),
    ?assertEqual({value, term_to_binary([2, 0]), 2}, held(Config)).

nothing_is_raised_about_a_value_that_is_not_written(Config) ->
    First = update(Config, append(0)),
    Write = next_write(),
    Second = update_in_line(Config, append(1), 1),
    Raises = update_in_line(Config, fun(Value) -> error(binary_to_term(Value)) end, 2),
    answer(Write, ok),
    answer(next_write(), {conflict, {term_to_binary([found]), 7}}),
    answer_turn(next_turn(), {error, timeout}),
    Again = next_write(),
    ?assertEqual(waits, state(Raises)),
    answer(Again, ok),
    ?assertEqual([ok, ok, {raised, [1, found]}], [result(U) || U <- [First, Second, Raises]]).

%% What its own write left, another node has changed since.
nothing_is_raised_about_a_value_that_is_only_cached(Config) ->
    First = update(Config, append(0)),
    Write = next_write(),
    Raises = update_in_line(Config, fun(Value) -> error(binary_to_term(Value)) end, 1),
    answer(Write, {ok_and_then, {term_to_binary([other]), 9}}),
    ?assertEqual([ok, {raised, [other]}], [result(First), result(Raises)]).

one_that_is_killed_in_its_function_holds_up_nobody(Config) ->
    First = update(Config, append(0)),
    Write = next_write(),
    Killed = update_in_line(Config, fun(_) -> exit(self(), kill), receive never -> ok end end, 1),
    Last = update_in_line(Config, append(2), 2),
    answer(Write, ok),
    answer(next_write(), ok),
    ?assertEqual([ok, killed, ok], [result(U) || U <- [First, Killed, Last]]),
    ?assertEqual({value, term_to_binary([2, 0]), 2}, held(Config)).

one_that_is_slow_holds_up_nobody_before_it(Config) ->
    Suite = self(),
    First = update(Config, append(0)),
    Write = next_write(),
    Before = update_in_line(Config, append(1), 1),
    Runs = fun(Value) ->
                   Suite ! {slow, self()},
                   receive go_on -> (append(2))(Value) end
           end,
    Slow = update_in_line(Config, Runs, 2),
    answer(Write, ok),
    answer(next_write(), ok),
    ?assertEqual([ok, ok], [result(First), result(Before)]),
    Go = fun() -> receive {slow, Pid} -> Pid ! go_on end end,
    Go(),
    %% Its first run came too late for the write before: it runs again.
    Go(),
    answer(next_write(), ok),
    ?assertEqual(ok, result(Slow)),
    ?assertEqual({value, term_to_binary([2, 1, 0]), 3}, held(Config)).

a_refusal_is_told_to_whose_value_it_is_about(Config) ->
    First = update(Config, append(0)),
    Write = next_write(),
    [Large, Small] = [update_in_line(Config, append(N), N) || N <- [1, 2]],
    answer(Write, ok),
    TooLarge = {error, {value_too_large, 2, 1}},
    answer(next_write(), TooLarge),    % of both
    answer(next_write(), TooLarge),    % of the first
    answer(next_write(), ok),
    ?assertEqual([ok, TooLarge, ok], [result(U) || U <- [First, Large, Small]]),
    ?assertEqual({value, term_to_binary([2, 0]), 2}, held(Config)).

a_write_without_an_answer_is_unknown_to_all_that_are_in_it(Config) ->
    First = update(Config, append(0)),
    Write = next_write(),
    Others = [update_in_line(Config, append(N), N) || N <- [1, 2]],
    answer(Write, ok),
    answer(next_write(), {error, timeout}),
    ?assertEqual([ok, {error, timeout}, {error, timeout}], [result(U) || U <- [First | Others]]).

a_server_that_ends_tells_what_may_have_happened_from_what_has_not(Config) ->
    First = update(Config, append(0)),
    _Write = next_write(),
    InLine = update_in_line(Config, append(1), 1),
    exit(proplists:get_value(server, Config), shutdown),
    ?assertEqual([{error, timeout}, {error, noproc}], [result(First), result(InLine)]),
    ?assertEqual({error, noproc}, result(update(Config, append(2)))).

%% What is in the round that crashes may have happened if it ran; what waits behind it goes on, and
%% so do the updates of other keys.
a_combiner_that_crashes_fails_the_updates_of_its_round_alone(Config) ->
    Other = update(Config, append(0)),
    Write = next_write(),
    [crashes_alone(Crash)
     || Crash <- [fun() -> exit(crash) end, fun() -> throw(crash) end, fun() -> error(crash) end,
                  fun() -> exit(self(), kill) end, fun() -> exit(normal) end]],
    answer(Write, ok),
    ?assertEqual(ok, result(Other)),
    ?assertEqual({value, term_to_binary([0]), 1}, held(Config)).

crashes_alone(Crash) ->
    Suite = self(),
    Read = fun(_Ms) -> Suite ! {reads, self()}, receive go_on -> Crash() end end,
    Crashes = run_update(crashing, #{read => Read, set => fun(_, _, _) -> error(no_set) end},
                         append(0)),
    Combiner = receive {reads, Pid} -> Pid end,
    Next = run_update(crashing, #{read => fun(_Ms) -> none end,
                                  set => fun(absent, _, _) -> {ok, 1} end}, append(1)),
    ram_peers:eventually(fun() -> in_line() =:= 1 end),
    Combiner ! go_on,
    ?assertEqual([{error, noproc}, ok], [result(Crashes), result(Next)]),
    Unanswered = run_update(crashing, #{read => fun(_Ms) -> none end,
                                        set => fun(_, _, _) -> Crash() end}, append(2)),
    ?assertEqual({error, timeout}, result(Unanswered)).

a_message_that_the_server_does_not_know_ends_no_update(Config) ->
    Update = update(Config, append(0)),
    Write = next_write(),
    ?assertEqual({error, unknown_request}, gen_server:call(ram_update, unknown)),
    ?assertEqual({error, unknown_request}, gen_server:call(ram_update, {next, unknown})),
    ok = gen_server:cast(ram_update, unknown),
    ok = gen_server:cast(ram_update, {join, key, unknown}),
    ram_update ! unknown,
    ram_update ! {'DOWN', make_ref(), process, self(), unknown},
    %% All of them have come when this is answered.
    ?assertEqual({error, unknown_request}, gen_server:call(ram_update, unknown)),
    ?assertEqual(proplists:get_value(server, Config), whereis(ram_update)),
    answer(Write, ok),
    ?assertEqual(ok, result(Update)).

beyond_the_bound_an_update_is_refused_at_once(Config) ->
    _First = update(Config, append(0)),
    _Write = next_write(),
    Waiting = 65536,
    _InLine = [update(Config, append(N)) || N <- lists:seq(1, Waiting)],
    ram_peers:eventually(fun() -> in_line() =:= Waiting end),
    ?assertEqual({error, overloaded}, result(update(Config, append(0)))).

a_contended_key_is_written_in_a_turn_by_all_that_wait_then(Config) ->
    First = contended(Config, append(0), [found]),
    Turn = next_turn(),
    Second = update_in_line(Config, append(1), 1),
    answer_turn(Turn, {turn, value([found])}),
    ?assertEqual({value([found]), value([1, 0, found])}, answer(next_write(), ok)),
    ?assertEqual([ok, ok], [result(U) || U <- [First, Second]]),
    Third = update(Config, append(2)),
    answer_turn(next_turn(), {turn, unknown}),
    ?assertMatch({8, {value, _}}, answer(next_write(), ok)),
    ?assertEqual(ok, result(Third)),
    ?assertEqual({value, term_to_binary([2, 1, 0, found]), 9}, held(Config)).

a_turn_with_a_value_that_is_not_there_is_a_conflict_as_any_other(Config) ->
    Update = contended(Config, append(0), [found]),
    answer_turn(next_turn(), {turn, none}),
    ?assertEqual({absent, value([0])},
                 answer(next_write(), {conflict, {term_to_binary([newer]), 8}})),
    answer_turn(next_turn(), {turn, value([newer])}),
    answer(next_write(), ok),
    ?assertEqual(ok, result(Update)),
    ?assertEqual({value, term_to_binary([0, newer]), 9}, held(Config)).

without_a_turn_a_contended_key_is_written_as_any_other(Config) ->
    Update = contended(Config, append(0), [found]),
    answer_turn(next_turn(), {error, timeout}),
    ?assertEqual({7, value([0, found])}, answer(next_write(), ok)),
    ?assertEqual(ok, result(Update)),
    %% Until the next conflict.
    _Next = update(Config, append(1)),
    answer(next_write(), ok).

a_turn_without_a_write_is_given_back(Config) ->
    Raises = contended(Config, fun(none) -> {<<1>>, 1};
                                  (Value) -> error(binary_to_term(Value)) end, [found]),
    answer_turn(next_turn(), {turn, value([other])}),
    receive given_back -> ok end,
    ?assertEqual({raised, [found]}, result(Raises)).

a_key_is_contended_for_a_second(Config) ->
    First = contended(Config, append(0), [found]),
    answer_turn(next_turn(), {turn, value([found])}),
    answer(next_write(), ok),
    ?assertEqual(ok, result(First)),
    ram_peers:eventually(fun() -> sys:get_state(ram_update) =:= {state, 30000, #{}, 0} end),
    _Second = update(Config, append(1)),
    answer(next_write(), ok).

a_large_value_is_updated_without_turns(Config) ->
    Large = binary:copy(<<0>>, 1000000),
    _Update = contended(Config, append(0), [Large]),
    ?assertEqual({7, value([0, Large])}, answer(next_write(), ok)).

one_that_changes_nothing_is_answered_by_a_value_that_is_known(Config) ->
    ?assertEqual(none, result(update(Config, fun(none) -> {keep, none} end))),
    First = update(Config, append(0)),
    Write = next_write(),
    Keeps = update_in_line(Config, fun(Value) -> {keep, binary_to_term(Value)} end, 1),
    answer(Write, {ok_and_then, {term_to_binary([other]), 9}}),
    ?assertEqual([ok, [other]], [result(First), result(Keeps)]).

a_value_can_be_deleted_and_made_again_in_one_round(Config) ->
    First = update(Config, append(0)),
    Write = next_write(),
    Deletes = update_in_line(Config, fun(_) -> {none, ok} end, 1),
    Makes = update_in_line(Config, append(2), 2),
    answer(Write, ok),
    ?assertEqual({1, {renewed, term_to_binary([2])}}, answer(next_write(), ok)),
    Last = update(Config, fun(_) -> {none, ok} end),
    ?assertEqual({2, none}, answer(next_write(), ok)),
    ?assertEqual([ok, ok, ok, ok], [result(U) || U <- [First, Deletes, Makes, Last]]).

nothing_is_left_behind(Config) ->
    U = update(Config, append(0)),
    answer(next_write(), ok),
    ?assertEqual(ok, result(U)),
    ram_peers:eventually(fun() -> sys:get_state(ram_update) =:= {state, 30000, #{}, 0} end),
    Server = proplists:get_value(server, Config),
    ?assertEqual([{links, []}, {monitors, []}], process_info(Server, [links, monitors])).

%%% Updates

append(N) ->
    fun(none) -> {term_to_binary([N]), ok};
       (Binary) -> {term_to_binary([N | binary_to_term(Binary)]), ok}
    end.

value(Term) when is_list(Term) -> {value, term_to_binary(Term)}.

update(Config, Change) ->
    run_update(key, access(Config), Change).

access(Config) ->
    Register = proplists:get_value(register, Config),
    Suite = self(),
    #{read => fun(_Ms) -> ask(Register, read) end,
      set => fun(Expect, New, _Ms) -> ask(Register, {set, Expect, New}) end,
      turn => fun(_Ms) -> Suite ! {turn, self()}, receive {turn_is, Turn} -> Turn end end,
      give_back => fun() -> Suite ! given_back end}.

%% An update whose first write finds a value of another node, of revision 7.
contended(Config, Change, Found) ->
    Update = update(Config, Change),
    answer(next_write(), {conflict, {term_to_binary(Found), 7}}),
    Update.

next_turn() -> receive {turn, Combiner} -> Combiner end.

answer_turn(Combiner, Turn) -> Combiner ! {turn_is, Turn}.

run_update(Key, Access, Change) ->
    run_update(Key, infinity, Access, Change).

run_update(Key, Retries, Access, Change) ->
    Run = fun() ->
                  try ram_update:run(Key, {30000, Retries}, Access, Change) of
                      {ok, _Revision, Result} -> exit({result, Result});
                      Failed -> exit({result, Failed})
                  catch error:Reason -> exit({result, {raised, Reason}})
                  end
          end,
    spawn_monitor(Run).

%% Returns when it stands in line behind `Others' - 1 others.
update_in_line(Config, Change, Others) ->
    Update = update(Config, Change),
    ram_peers:eventually(fun() -> in_line() =:= Others end),
    Update.

in_line() ->
    {state, _SlowMs, _Waiting, Count} = sys:get_state(ram_update),
    Count.

state({Pid, _Monitor}) ->
    case is_process_alive(Pid) of true -> waits; false -> ended end.

result({Pid, Monitor}) ->
    receive
        {'DOWN', Monitor, process, Pid, {result, Result}} -> Result;
        {'DOWN', Monitor, process, Pid, Reason} -> Reason
    end.

%%% The register

ask(Register, Request) ->
    Monitor = monitor(process, Register),
    Register ! {Monitor, self(), Request},
    receive
        {Monitor, Answer} -> demonitor(Monitor, [flush]), Answer;
        {'DOWN', Monitor, process, Register, _Killed} -> {error, timeout}
    end.

held(Config) ->
    ask(proplists:get_value(register, Config), read).

next_write() ->
    receive {write, Write} -> Write end.

%% What it expects, and what it writes.
answer({Register, Id, Expect, New}, Answer) ->
    Register ! {answer, Id, Answer},
    {Expect, case is_binary(New) of true -> {value, New}; false -> New end}.

register_loop(Suite, Value) ->
    receive
        {Id, Pid, read} ->
            Pid ! {Id, Value},
            register_loop(Suite, Value);
        {Id, Pid, {set, Expect, Binary}} ->
            Suite ! {write, {self(), Id, Expect, Binary}},
            receive {answer, Id, Answer} -> ok end,
            register_loop(Suite, written(Answer, Id, Pid, Expect, Binary, Value))
    end.

%% What the suite calls ok is done only if it is what the writer expects. `ok_and_then': another
%% writer follows.
written(ok, Id, Pid, Expect, New, Value) ->
    {Held, Revision} = case Value of none -> {absent, 0}; {value, Of, R} -> {{value, Of}, R} end,
    ?assert(Expect =:= Held orelse Expect =:= Revision),
    Pid ! {Id, {ok, Revision + 1}},
    case New of {renewed, Made} -> {value, Made, Revision + 1};
                none -> none;
                _ -> {value, New, Revision + 1} end;
written({ok_and_then, {Other, Revision}}, Id, Pid, Expect, Binary, Value) ->
    _Written = written(ok, Id, Pid, Expect, Binary, Value),
    {value, Other, Revision};
written({conflict, {Found, Revision}} = Conflict, Id, Pid, _Expect, _Binary, _Value) ->
    Pid ! {Id, Conflict},
    {value, Found, Revision};
written(Error, Id, Pid, _Expect, _Binary, Value) ->
    Pid ! {Id, Error},
    Value.
